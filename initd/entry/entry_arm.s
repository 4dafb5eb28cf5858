#include "textflag.h"

TEXT _rt0_initd(SB),NOSPLIT|NOFRAME,$0
	B	_rt0_arm_linux(SB)
