/* What a Cortex-M4 does first: the table of vectors, and the floating-point unit switched on. */

#include <stdint.h>

extern uint32_t stack_top;
extern void _start(void); /* of newlib, which talks to QEMU by semihosting */

static void stopped(void)
{
    for (;;) {
    }
}

static void reset(void)
{
    volatile uint32_t *const access = (volatile uint32_t *)0xE000ED88u; /* CPACR */
    *access |= 0xFu << 20;
    __asm__ volatile("dsb\n isb");
    _start();
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, (void *)reset,   (void *)stopped, (void *)stopped,
    (void *)stopped, (void *)stopped, (void *)stopped,
};
