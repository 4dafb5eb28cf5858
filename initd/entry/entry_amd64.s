#include "textflag.h"

#define SYS_rt_sigaction 13
#define SYS_rt_sigprocmask 14
#define SYS_rt_sigreturn 15
#define SYS_getpid 39
#define SYS_execve 59
#define SYS_gettid 186
#define SYS_exit_group 231
#define SYS_tgkill 234

#define caught 0x800e // bit n is signal n: HUP, INT, QUIT and TERM

// The kernel's struct sigaction: handler, flags, restorer, mask; sigaction(2). SA_RESTART and SA_RESTORER.
DATA action<>+0(SB)/8, $handle<>(SB)
DATA action<>+8(SB)/8, $0x14000000
DATA action<>+16(SB)/8, $restore<>(SB)
DATA action<>+24(SB)/8, $-1
GLOBL action<>(SB), RODATA, $32

DATA self<>+0(SB)/8, $"/proc/se"
DATA self<>+8(SB)/8, $"lf/exe\x00\x00"
GLOBL self<>(SB), RODATA, $16

// The kernel jumps here with argc, argv and the environment on the stack, and no return address.
TEXT _rt0_initd(SB),NOSPLIT|NOFRAME,$0
	MOVQ	8(SP), DI // argv[0]
	TESTQ	DI, DI
	JZ	install // argc is 0
	MOVQ	·Stage+0(SB), SI
	MOVQ	·Stage+8(SB), CX
	CLD
	REP
	CMPSB
	JEQ	done

install:
	MOVQ	SP, ·stack(SB)
	MOVL	$SYS_rt_sigprocmask, AX
	XORL	DI, DI
	XORL	SI, SI // only asks
	LEAQ	·mask(SB), DX
	MOVL	$8, R10
	SYSCALL
	SUBQ	$32, SP
	MOVL	$caught, R12

next:
	BSFL	R12, DI
	JZ	all // none is left
	LEAL	-1(R12), AX
	ANDL	AX, R12
	CMPL	DI, $2 // INT
	JA	set
	MOVL	$SYS_rt_sigaction, AX
	XORL	SI, SI
	MOVQ	SP, DX
	SYSCALL
	CMPQ	0(SP), $1 // SIG_IGN
	JEQ	next

set:
	MOVL	$SYS_rt_sigaction, AX
	LEAQ	action<>(SB), SI
	XORL	DX, DX
	SYSCALL
	JMP	next

all:
	ADDQ	$32, SP

done:
	JMP	_rt0_amd64_linux(SB)

TEXT restore<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	$SYS_rt_sigreturn, AX
	SYSCALL
	INT	$3

// The kernel or the runtime calls it as C does, with the signal in DI; the signals are blocked.
TEXT handle<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	DI, CX
	MOVL	$1, AX
	SHLL	CX, AX
	LOCK
	ORL	AX, ·recorded(SB)

	// Who has called?
	SUBQ	$40, SP
	MOVL	$SYS_rt_sigaction, AX
	XORL	SI, SI
	MOVQ	SP, DX
	MOVL	$8, R10
	SYSCALL
	MOVQ	0(SP), AX
	ADDQ	$40, SP
	LEAQ	handle<>(SB), CX
	CMPQ	AX, CX
	JEQ	return // the kernel, as the runtime has no handler yet
	CMPL	·committed(SB), $0
	JNE	return

	// The runtime, which dies if this returns.
	MOVL	DI, R15
	MOVL	$SYS_getpid, AX
	SYSCALL
	MOVL	AX, R13
	MOVL	$SYS_gettid, AX
	SYSCALL
	MOVL	AX, R14
	MOVL	·recorded(SB), R12

pending:
	BSFL	R12, DX
	JZ	execute
	LEAL	-1(R12), AX
	ANDL	AX, R12
	MOVL	$SYS_tgkill, AX
	MOVL	R13, DI
	MOVL	R14, SI
	SYSCALL
	JMP	pending

execute:
	MOVQ	·mask(SB), AX
	ORQ	$(caught>>1), AX // bit n-1 is signal n
	PUSHQ	AX
	MOVL	$SYS_rt_sigprocmask, AX
	MOVL	$2, DI // SIG_SETMASK
	MOVQ	SP, SI
	XORL	DX, DX
	SYSCALL
	POPQ	AX
	MOVL	$SYS_execve, AX
	LEAQ	self<>(SB), DI
	MOVQ	·stack(SB), SI
	MOVQ	0(SI), DX
	LEAQ	16(SI)(DX*8), DX
	ADDQ	$8, SI
	SYSCALL
	MOVL	$SYS_exit_group, AX // there is no /proc
	LEAL	128(R15), DI
	SYSCALL
	INT	$3

return:
	RET
