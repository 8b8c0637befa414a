# The MBR's code: loads the BIOS loader's first 2048 bytes (stage2.s) from the disk and goes there.
#
# The sector's other bytes, from 440 on, are not ours: signature, partitions, 0x55aa. Where the
# loader is, is filled in when a disk is written. Assembled as stage2.s is.

        .set    .Lmbr_origin, 0x7c00        # where the BIOS puts us, and then the loader
        .set    .Lmbr_base, 0x600           # where we go out of its way
        .set    .Lmbr_tries, 5

        .section .rodata.lkbuild_bios_mbr, "a"
        .globl  lkbuild_bios_mbr
        .globl  lkbuild_bios_mbr_end
        .code16
lkbuild_bios_mbr:
.Lmbr:  jmp     .Lmbr_start
        .org    .Lmbr + 4
        .ascii  "LKBM"
.Lmbr_lba:
        .quad   0                           # filled in: the loader's first sector

.Lmbr_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $.Lmbr_origin, %esp
        sti
        cld
        movw    %sp, %si
        movw    $.Lmbr_base, %di
        movw    $256, %cx
        rep movsw
        ljmp    $0, $(1f - .Lmbr + .Lmbr_base)
1:      testb   $0x80, %dl                  # some BIOSes give no drive
        jnz     2f
        movb    $0x80, %dl
2:      movb    %dl, .Lmbr_drive - .Lmbr + .Lmbr_base

# Are there the INT 13h extensions?
        movb    $0x41, %ah
        movw    $0x55aa, %bx
        call    .Lmbr_disk
        jc      3f
        cmpw    $0xaa55, %bx
        jne     3f
        testb   $1, %cl
        jnz     4f
3:      movw    $(.Lmbr_old - .Lmbr + .Lmbr_base), %si
        jmp     .Lmbr_stop

4:      movb    $.Lmbr_tries, .Lmbr_left - .Lmbr + .Lmbr_base
5:      pushl   .Lmbr_lba - .Lmbr + .Lmbr_base + 4
        pushl   .Lmbr_lba - .Lmbr + .Lmbr_base
        pushl   $.Lmbr_origin               # segment 0
        pushl   $0x40010                    # four sectors; the packet has 16 bytes
        movw    %sp, %si
        movb    $0x42, %ah
        call    .Lmbr_disk
        movl    $.Lmbr_origin, %esp         # off with the packet
        jnc     6f
        movb    %ah, .Lmbr_status - .Lmbr + .Lmbr_base
        movb    $0, %ah                     # reset
        call    .Lmbr_disk
        decb    .Lmbr_left - .Lmbr + .Lmbr_base
        jnz     5b
        movb    .Lmbr_status - .Lmbr + .Lmbr_base, %al
        aam     $16                         # its two digits
        orw     $0x3030, %ax
        xchgb   %al, %ah
        cmpb    $'9', %al
        jbe     7f
        addb    $('a' - '9' - 1), %al
7:      cmpb    $'9', %ah
        jbe     8f
        addb    $('a' - '9' - 1), %ah
8:      movw    %ax, .Lmbr_digits - .Lmbr + .Lmbr_base
        movw    $(.Lmbr_read - .Lmbr + .Lmbr_base), %si
        jmp     .Lmbr_stop

6:      movw    $(.Lmbr_none - .Lmbr + .Lmbr_base), %si
        cmpl    $0x32424b4c, .Lmbr_origin + 4   # "LKB2"
        jne     .Lmbr_stop
        movl    $0x424d4b4c, %esi           # "LKMB": sectors have 512 bytes
        movb    .Lmbr_drive - .Lmbr + .Lmbr_base, %dl
        ljmp    $0, $.Lmbr_origin

# INT 13h for the drive we are from.
.Lmbr_disk:
        movb    .Lmbr_drive - .Lmbr + .Lmbr_base, %dl
        int     $0x13
        pushw   $0
        popw    %ds
        pushw   $0
        popw    %es
        cld
        sti
        ret

# Says what is at si and stays.
.Lmbr_stop:
        lodsb
        testb   %al, %al
        jz      9f
        movb    $0x0e, %ah
        movw    $7, %bx
        pushw   %si
        int     $0x10
        popw    %si
        jmp     .Lmbr_stop
9:      hlt
        jmp     9b

.Lmbr_drive:
        .byte   0
.Lmbr_left:
        .byte   0
.Lmbr_status:
        .byte   0
.Lmbr_old:
        .asciz  "lkbuild: NOT STARTED: this BIOS can't read disks by LBA"
.Lmbr_none:
        .asciz  "lkbuild: NOT STARTED: no loader on this disk: write it again"
.Lmbr_read:
        .ascii  "lkbuild: NOT STARTED: disk read error "
.Lmbr_digits:
        .asciz  "00: damaged or cut short"

        .org    .Lmbr + 440
lkbuild_bios_mbr_end:
        .code64
        .text
