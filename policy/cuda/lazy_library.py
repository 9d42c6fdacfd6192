"""Writes C for a library whose functions are looked up in another one at the first call.

Usage: lazy_library.py FILE FAILURE < NAMES    (x86-64; one function a line)

A name is a jump through a slot. The first call fills all slots from FILE, by `dlopen`; what is not
there answers FAILURE. Arguments are kept in their registers meanwhile, so no signature is needed.
"""

import sys

HEAD = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
static int missing(void) { return FAILURE; }
static void *slots[COUNT] __attribute__((used));
static int loaded __attribute__((used));
static const char *const names[COUNT] = { NAMES };
__attribute__((used)) static void load(void) {
    void *library = dlopen(FILE_NAME, RTLD_LAZY | RTLD_LOCAL);
    for (int i = 0; i < COUNT; i++) {
        void *function = library ? dlsym(library, names[i]) : 0;
        slots[i] = function ? function : (void *)missing;
    }
    __atomic_store_n(&loaded, 1, __ATOMIC_RELEASE);
}
"""

# On entry the stack is aligned to 16 bytes: two return addresses lie on it.
LOADER = r"""
    .text
    .type loader, @function
loader:
    push %rdi; push %rsi; push %rdx; push %rcx; push %r8; push %r9; push %rax
    sub $136, %rsp
    SAVE
    call load
    RESTORE
    add $136, %rsp
    pop %rax; pop %r9; pop %r8; pop %rcx; pop %rdx; pop %rsi; pop %rdi
    ret
"""

JUMP = r"""
    .globl NAME
    .type NAME, @function
NAME:
    cmpl $0, loaded(%rip)
    jne 1f
    call loader
1:  jmp *(slots + OFFSET)(%rip)
"""


def quoted(assembly: str) -> str:
    lines = (f'    "{line}\\n"' for line in assembly.strip("\n").split("\n"))
    return "__asm__(\n" + "\n".join(lines) + "\n);\n"


def main() -> None:
    file, failure = sys.argv[1:]
    names = sorted({line.strip() for line in sys.stdin if line.strip()})
    listed = ", ".join(f'"{name}"' for name in names)
    head = HEAD.replace("FAILURE", failure).replace("FILE_NAME", f'"{file}"')
    print(head.replace("COUNT", str(len(names))).replace("NAMES", listed))
    moves = [f"movups %xmm{i}, {16 * i}(%rsp)" for i in range(8)]
    back = [f"movups {16 * i}(%rsp), %xmm{i}" for i in range(8)]
    print(quoted(LOADER.replace("SAVE", "; ".join(moves)).replace("RESTORE", "; ".join(back))))
    for i, name in enumerate(names):
        print(quoted(JUMP.replace("NAME", name).replace("OFFSET", str(8 * i))))


main()
