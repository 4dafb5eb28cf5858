#include "textflag.h"

#define SYS_exit_group 94
#define SYS_tgkill 131
#define SYS_rt_sigaction 134
#define SYS_rt_sigprocmask 135
#define SYS_getpid 172
#define SYS_gettid 178
#define SYS_execve 221

#define caught 0x800e // bit n is signal n: HUP, INT, QUIT and TERM

// The kernel's struct sigaction: handler, flags, restorer, mask; sigaction(2). SA_RESTART; the restorer is the kernel's.
DATA action<>+0(SB)/8, $handle<>(SB)
DATA action<>+8(SB)/8, $0x10000000
DATA action<>+16(SB)/8, $0
DATA action<>+24(SB)/8, $-1
GLOBL action<>(SB), RODATA, $32

DATA self<>+0(SB)/8, $"/proc/se"
DATA self<>+8(SB)/8, $"lf/exe\x00\x00"
GLOBL self<>(SB), RODATA, $16

// The kernel jumps here with argc, argv and the environment on the stack, and nowhere to return to.
TEXT _rt0_initd(SB),NOSPLIT|NOFRAME,$0
	MOVD	8(RSP), R0 // argv[0]
	CBZ	R0, install // argc is 0
	MOVD	·Stage+0(SB), R1
	MOVD	·Stage+8(SB), R2

compare:
	CBZ	R2, done
	SUB	$1, R2
	MOVBU.P	1(R0), R3
	MOVBU.P	1(R1), R4
	CMP	R3, R4
	BEQ	compare

install:
	MOVD	RSP, R0
	MOVD	R0, ·stack(SB)
	MOVD	$0, R0
	MOVD	$0, R1 // only asks
	MOVD	$·mask(SB), R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC
	SUB	$32, RSP
	MOVD	$caught, R10

next:
	CBZ	R10, all
	RBIT	R10, R11
	CLZ	R11, R11
	SUB	$1, R10, R12
	AND	R12, R10
	CMP	$2, R11 // INT
	BHI	set
	MOVD	R11, R0
	MOVD	$0, R1
	MOVD	RSP, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigaction, R8
	SVC
	MOVD	0(RSP), R0
	CMP	$1, R0 // SIG_IGN
	BEQ	next

set:
	MOVD	R11, R0
	MOVD	$action<>(SB), R1
	MOVD	$0, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigaction, R8
	SVC
	B	next

all:
	ADD	$32, RSP

done:
	B	_rt0_arm64_linux(SB)

// The kernel or the runtime calls it as C does, with the signal in R0; the signals are blocked.
TEXT handle<>(SB),NOSPLIT|NOFRAME,$0
	MOVW	R0, R9
	MOVD	$1, R1
	LSL	R9, R1, R1
	MOVD	$·recorded(SB), R2

record:
	LDAXRW	(R2), R3
	ORR	R1, R3
	STLXRW	R3, (R2), R4
	CBNZ	R4, record

	// Who has called?
	SUB	$32, RSP
	MOVD	$0, R1
	MOVD	RSP, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigaction, R8
	SVC
	MOVD	0(RSP), R1
	ADD	$32, RSP
	MOVD	$handle<>(SB), R2
	CMP	R1, R2
	BEQ	return // the kernel, as the runtime has no handler yet
	MOVWU	·committed(SB), R1
	CBNZ	R1, return

	// The runtime, which dies if this returns.
	MOVD	$SYS_getpid, R8
	SVC
	MOVD	R0, R10
	MOVD	$SYS_gettid, R8
	SVC
	MOVD	R0, R11
	MOVWU	·recorded(SB), R12

pending:
	CBZ	R12, execute
	RBIT	R12, R2
	CLZ	R2, R2
	SUB	$1, R12, R13
	AND	R13, R12
	MOVD	R10, R0
	MOVD	R11, R1
	MOVD	$SYS_tgkill, R8
	SVC
	B	pending

execute:
	MOVD	·mask(SB), R1
	ORR	$(caught>>1), R1 // bit n-1 is signal n
	SUB	$16, RSP
	MOVD	R1, 0(RSP)
	MOVD	$2, R0 // SIG_SETMASK
	MOVD	RSP, R1
	MOVD	$0, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC
	ADD	$16, RSP
	MOVD	$self<>(SB), R0
	MOVD	·stack(SB), R1
	MOVD	0(R1), R2
	ADD	R2<<3, R1, R2
	ADD	$16, R2
	ADD	$8, R1
	MOVD	$SYS_execve, R8
	SVC
	ADD	$128, R9, R0 // there is no /proc
	MOVD	$SYS_exit_group, R8
	SVC
	BRK	$0

return:
	RET
