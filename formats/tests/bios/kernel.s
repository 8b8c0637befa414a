# A kernel that says on the first serial line what its loader told it, and halts.
#
# Boot sector and one sector of setup code, with the fields of Linux's setup header that a loader
# reads; the test puts as much as it likes behind them and says so in "paragraphs".

        .section .rodata.lkbuild_test_kernel, "a"
        .globl  lkbuild_test_kernel
        .code16
lkbuild_test_kernel:
.Lk:    .org    .Lk + 0x1f1
        .byte   1                           # setup sectors
        .word   0
        .long   0                           # paragraphs
        .word   0
        .word   0x1234                      # video mode
        .word   0
        .word   0xaa55
        jmp     .Lk_start
        .ascii  "HdrS"
        .word   0x020f
        .org    .Lk + 0x211
        .byte   1                           # loaded high
        .org    .Lk + 0x22c
        .long   0x7fffffff                  # the initrd's last byte
        .org    .Lk + 0x236
        .word   1                           # 64 bits
        .long   2047                        # command line
        .org    .Lk + 0x258
        .quad   0x1000000                   # preferred address
        .long   0x1000000                   # what it needs there
        .org    .Lk + 0x268

.Lk_start:
        movw    $(.Lk_given - .Lk), %si
        call    .Lk_say
        movw    $0xe000, %si                # where the loader says that the command line is
        call    .Lk_say
        movw    $(.Lk_told - .Lk), %si
        call    .Lk_say
        movl    0x218, %eax                 # initrd: where, and how long
        call    .Lk_hex
        movl    0x21c, %eax
        call    .Lk_hex
        movl    0x228, %eax                 # command line
        call    .Lk_hex
        movl    0x210, %eax                 # loader and flags
        call    .Lk_hex
        movl    0x1fa, %eax                 # video mode
        call    .Lk_hex
        movw    %ds, %ax                    # segments
        shll    $16, %eax
        movw    %ss, %ax
        call    .Lk_hex
        movw    $(.Lk_end - .Lk), %si
        call    .Lk_say
1:      hlt
        jmp     1b

.Lk_say:
        movw    $0x3f8, %dx
1:      lodsb
        testb   %al, %al
        jz      2f
        outb    %al, %dx
        jmp     1b
2:      ret

.Lk_hex:
        movw    $0x3f8, %dx
        movl    %eax, %ebx
        movb    $' ', %al
        outb    %al, %dx
        movw    $8, %cx
1:      roll    $4, %ebx
        movb    %bl, %al
        andb    $15, %al
        cmpb    $10, %al
        sbbb    $0x69, %al
        das
        outb    %al, %dx
        loop    1b
        ret

.Lk_given:
        .asciz  "kernel: ["
.Lk_told:
        .asciz  "]"
.Lk_end:
        .asciz  " end\n"
        .org    .Lk + 1024
        .code64
        .text
