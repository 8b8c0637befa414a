# The BIOS loader: reads kernel, initrd and command line off a CD or a disk and starts the kernel.
#
# It is one CD sector long, so that the BIOS (El Torito, no emulation) or our MBR loads all of it at
# once, to 0x7c00. The next 2048 bytes of the medium are the command line. It knows no file system:
# the fields below are filled in when a medium is written (src/boot/bios). Extents are counted in
# units of 2048 bytes; on a disk, of which the MBR says so, a unit has four sectors.
#
# Every address is a constant or a difference of two labels, so nothing is linked. AT&T syntax,
# assembled with global_asm!; braces would be taken for its operands.
#
# Memory: 0x00500 variables, 0x07c00 this and below it the stack, 0x10000 what was just read,
# 0x20000 the kernel's setup code, 0x2e000 the command line, 0x30000 tables of the CRC,
# 0x100000 the kernel; the initrd as high as it may be.

        .set    .Lbase, 0x7c00
        .set    .Lunits_max, 31             # 62 KiB: in one segment, and no BIOS refuses 124 sectors
        .set    .Ltries, 5
        .set    .Lbuffer, 0x10000
        .set    .Lsetup, 0x20000
        .set    .Lcmdline, 0x2e000
        .set    .Ltables, 0x30000
        .set    .Lkernel, 0x100000
        .set    .Lfrom_mbr, 0x424d4b4c      # "LKMB" in esi: we were loaded by our MBR

# Variables; all zero at the start.
        .set    .La20_probe, 0x500
        .set    .Lrange, 0x520              # an entry of the memory map: base, length, type
        .set    .Lpacket, 0x540             # of INT 13h
        .set    .Lpacket_lba, .Lpacket + 8
        .set    .Ldrive, 0x550
        .set    .Lshift, 0x551              # sectors in a unit, as a power of two
        .set    .Lkernel_fits, 0x552
        .set    .Lcount, 0x554
        .set    .Llba, 0x558
        .set    .Lleft, 0x55c
        .set    .Lto, 0x560
        .set    .Lcrc, 0x564
        .set    .Lstatus, 0x568
        .set    .Lfound_kib, 0x56c
        .set    .Linitrd_at, 0x570
        .set    .Ldot_left, 0x574
        .set    .Lanswer, 0x578
        .set    .Lvariables_end, 0x57c

        .section .rodata.lkbuild_bios_stage2, "a"
        .globl  lkbuild_bios_stage2
        .globl  lkbuild_bios_stage2_end
        .code16
lkbuild_bios_stage2:
.Ls:    jmp     .Lstart
        .org    .Ls + 4
        .ascii  "LKB2"                      # what the MBR looks for

# Filled in when a medium is written, by src/boot/bios.rs. Of each file: its name, where it is (in
# units), how long it is (in bytes), its CRC-32.
        .set    .Lfile_lba, 8
        .set    .Lfile_bytes, 12
        .set    .Lfile_crc, 16
        .set    .Lf_cmdline, .Lbase + 8
        .set    .Lf_kernel, .Lbase + 28
        .set    .Lf_initrd, .Lbase + 48
        .set    .Lf_setup_bytes, .Lbase + 68
        .set    .Lf_floor, .Lbase + 72
        .set    .Lf_ceiling, .Lbase + 76
        .set    .Lf_ram_kib, .Lbase + 80
        .set    .Lf_dot_units, .Lbase + 84
        .set    .Lf_serial_port, .Lbase + 88
        .set    .Lf_serial_divisor, .Lbase + 90
        .set    .Lf_video_mode, .Lbase + 92
        .ascii  "cmdline\0"
        .long   0, 0, 0
        .ascii  "kernel\0\0"
        .long   0, 0, 0
        .ascii  "initrd\0\0"
        .long   0, 0, 0
        .org    .Ls + 96

.Lstart:
        ljmp    $0, $(1f - .Ls + .Lbase)
1:      cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $.Lbase, %esp
        sti
        cld
        movl    %esi, %ebx
        movw    $.La20_probe, %di
        movw    $(.Lvariables_end - .La20_probe), %cx
        rep stosb
        movb    %dl, .Ldrive
        cmpl    $.Lfrom_mbr, %ebx
        jne     1f
        movb    $2, .Lshift
1:

# The serial line, if it is the kernel's console: speed, 8N1, no interrupts.
        movw    .Lf_serial_port, %dx
        testw   %dx, %dx
        jz      1f
        addw    $3, %dx
        movb    $0x80, %al                  # the divisor instead of data
        outb    %al, %dx
        subw    $3, %dx
        movw    .Lf_serial_divisor, %ax
        outb    %al, %dx
        incw    %dx
        movb    %ah, %al
        outb    %al, %dx
        incw    %dx
        incw    %dx
        movb    $3, %al
        outb    %al, %dx
        incw    %dx
        outb    %al, %dx                    # DTR and RTS
        subw    $3, %dx
        xorw    %ax, %ax
        outb    %al, %dx
1:

# Address line 20: without it the second MiB is the first once more.
        call    .La20_on
        jne     2f
        movw    $0x2401, %ax
        int     $0x15
        call    .Lsettle
        call    .La20_on
        jne     2f
        inb     $0x92, %al
        orb     $2, %al
        andb    $0xfe, %al                  # bit 0 would reset the machine
        outb    %al, $0x92
        call    .La20_on
        jne     2f
        call    .Lkeyboard
        movb    $0xd1, %al
        outb    %al, $0x64
        call    .Lkeyboard
        movb    $0xdf, %al
        outb    %al, $0x60
        call    .La20_on
        jne     2f
        movw    $(.Lm_a20 - .Ls + .Lbase), %si
        jmp     .Lstop
2:

# The memory map: the sum of RAM, whether the kernel fits, and the highest place for the initrd.
        xorl    %ebx, %ebx
.Lmap:
        movl    $0xe820, %eax
        movl    $20, %ecx
        movl    $0x534d4150, %edx           # "SMAP"
        movw    $.Lrange, %di
        int     $0x15
        call    .Lsettle
        jc      .Lmap_end
        cmpl    $0x534d4150, %eax
        jne     .Lmap_end
        cmpl    $1, .Lrange + 16            # RAM
        jne     .Lmap_next
        movl    .Lrange + 8, %eax
        movl    .Lrange + 12, %edx
        movl    %eax, %edi
        shrdl   $10, %edx, %edi
        cmpl    $1024, %edx
        jae     5f                          # from 4 TiB on, no more is counted
        addl    %edi, .Lfound_kib
        jnc     6f
5:      orl     $-1, .Lfound_kib
6:      movl    .Lrange, %esi
        addl    %esi, %eax                  # the end
        adcl    .Lrange + 4, %edx
        cmpl    $0, .Lrange + 4
        jne     .Lmap_next                  # begins above 4 GiB
        testl   %edx, %edx
        jz      1f
        movl    $0xfffff000, %eax           # ends above
1:      movl    %eax, %ecx
        movl    $.Lkernel, %edx
        subl    %edx, %ecx
        jb      2f
        cmpl    %edx, %esi
        ja      2f
        cmpl    .Lf_kernel + .Lfile_bytes, %ecx
        jb      2f
        incb    .Lkernel_fits
2:      cmpl    .Lf_ceiling, %eax
        jbe     3f
        movl    .Lf_ceiling, %eax
3:      cmpl    .Lf_floor, %esi
        jae     4f
        movl    .Lf_floor, %esi
4:      subl    .Lf_initrd + .Lfile_bytes, %eax
        jb      .Lmap_next
        andw    $0xf000, %ax
        cmpl    %esi, %eax
        jb      .Lmap_next
        cmpl    .Linitrd_at, %eax
        jbe     .Lmap_next
        movl    %eax, .Linitrd_at
.Lmap_next:
        testl   %ebx, %ebx
        jnz     .Lmap
.Lmap_end:
        movw    $(.Lm_ram - .Ls + .Lbase), %si
        movl    .Lfound_kib, %eax
        cmpl    .Lf_ram_kib, %eax
        jb      .Lstop
        movw    $(.Lm_room - .Ls + .Lbase), %si
        cmpb    $0, .Lkernel_fits
        je      .Lstop
        cmpl    $0, .Linitrd_at
        je      .Lstop

# Tables for eight bytes of CRC-32 at a time: the first from the polynomial, each other from the
# one before it.
        movw    $(.Ltables >> 4), %ax
        movw    %ax, %es
        xorw    %di, %di
1:      movzwl  %di, %eax
        shrw    $2, %ax
        movw    $8, %cx
2:      shrl    $1, %eax
        jnc     3f
        xorl    $0xedb88320, %eax
3:      loop    2b
        stosl
        cmpw    $1024, %di
        jb      1b
4:      movl    %es:-1024(%di), %eax
        movzbw  %al, %bx
        shlw    $2, %bx
        shrl    $8, %eax
        xorl    %es:(%bx), %eax
        stosl
        cmpw    $8192, %di
        jb      4b

# Loading.
        movw    $.Lf_cmdline, %bx
        movl    $.Lcmdline, %edi
        call    .Lload
        movw    $.Lf_kernel, %bx
        movl    $.Lkernel, %edi
        call    .Lload
        movw    $.Lf_initrd, %bx
        movl    .Linitrd_at, %edi
        call    .Lload
        movw    $(.Lm_start - .Ls + .Lbase), %si
        call    .Lsay

# The kernel's setup code goes below 1 MiB, its header is told what it must know
# (Linux, Documentation/arch/x86/boot.rst), and it is entered as it always was.
        movw    $(.Lplace - .Ls + .Lbase), %bp
        call    .Lin32
        cli
        movw    $(.Lsetup >> 4), %ax
        movw    %ax, %es
        movw    .Lf_video_mode, %cx
        movw    %cx, %es:0x1fa
        movb    $0xff, %es:0x210            # a loader without a number
        orb     $0x80, %es:0x211            # there is a heap
        movw    $0xde00, %es:0x224          # which ends here, less 0x200
        movl    .Linitrd_at, %ecx
        movl    %ecx, %es:0x218
        movl    .Lf_initrd + .Lfile_bytes, %ecx
        movl    %ecx, %es:0x21c
        movl    $.Lcmdline, %es:0x228
        movw    %ax, %ds
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $0xe000, %esp
        ljmp    $(.Lsetup / 16 + 0x20), $0

# Loads the file whose fields are at bx to edi, and does not come back if that is not what is there.
.Lload:
        movl    %edi, .Lto
        movl    .Lfile_lba(%bx), %eax
        movl    %eax, .Llba
        movl    .Lfile_bytes(%bx), %eax
        movl    %eax, .Lleft
        orl     $-1, .Lcrc
        movw    $(.Lm_load - .Ls + .Lbase), %si
        call    .Lsay
1:      movl    .Lleft, %eax
        addl    $2047, %eax
        shrl    $11, %eax
        cmpl    $.Lunits_max, %eax
        jbe     2f
        movw    $.Lunits_max, %ax
2:      movw    %ax, .Lcount
        call    .Lread
        movzwl  .Lcount, %ecx
        addl    %ecx, .Llba
        subl    %ecx, .Ldot_left
        jg      3f
        movl    .Lf_dot_units, %eax
        addl    %eax, .Ldot_left
        movb    $'.', %al
        call    .Lput
3:      shll    $11, %ecx
        cmpl    .Lleft, %ecx
        jbe     4f
        movl    .Lleft, %ecx
4:      subl    %ecx, .Lleft
        movw    $(.Lcopy - .Ls + .Lbase), %bp
        call    .Lin32
        cmpl    $0, .Lleft
        jne     1b
        notl    .Lcrc
        movl    .Lcrc, %eax
        cmpl    .Lfile_crc(%bx), %eax
        movw    $(.Lm_crc - .Ls + .Lbase), %si
        jne     .Lstop
        ret

# Reads as many units as .Lcount says, from unit .Llba; after an error it tries fewer. Gives in
# .Lcount how many were read.
.Lread:
        pushal
        movb    $.Ltries, %ch
1:      movw    $.Lpacket, %si              # filled in each time: a BIOS may change it
        movw    $16, (%si)
        movb    .Lshift, %cl
        movw    .Lcount, %ax
        shlw    %cl, %ax
        movw    %ax, 2(%si)
        movl    $(.Lbuffer << 12), 4(%si)
        movl    .Llba, %eax
        xorl    %edx, %edx
        shldl   %cl, %eax, %edx
        shll    %cl, %eax
        movl    %eax, 8(%si)
        movl    %edx, 12(%si)
        movb    $0x42, %ah
        call    .Ldisk
        jnc     2f
        movb    %ah, .Lstatus + 3
        movb    $0, %ah                     # reset
        call    .Ldisk
        shrw    $1, .Lcount
        jnz     3f
        incw    .Lcount
3:      decb    %ch
        jnz     1b
        movw    $(.Lm_read - .Ls + .Lbase), %si
        jmp     .Lstop
2:      popal
        ret

# INT 13h for our drive; no register but eax is changed.
.Ldisk:
        pushal
        movb    .Ldrive, %dl
        int     $0x13
        call    .Lsettle
        movl    %eax, .Lanswer
        popal
        movl    .Lanswer, %eax
        ret

# What a BIOS may have changed; flags but the direction's and the interrupts' are kept.
.Lsettle:
        pushw   $0
        popw    %ds
        pushw   $0
        popw    %es
        cld
        sti
        ret

# "Not equal" if address line 20 is on.
.La20_on:
        movw    $0xffff, %ax
        movw    %ax, %fs
        xorw    %cx, %cx
1:      incw    .La20_probe
        movw    .La20_probe, %ax
        outb    %al, $0x80                  # takes a moment
        cmpw    %fs:.La20_probe + 0x10, %ax
        loope   1b
        ret

# Waits until the keyboard controller takes a byte.
.Lkeyboard:
        xorw    %cx, %cx
1:      inb     $0x64, %al
        testb   $2, %al
        loopnz  1b
        ret

# Says what is at si and stays.
.Lstop:
        pushw   %si
        movw    $(.Lm_stop - .Ls + .Lbase), %si
        call    .Lsay
        popw    %si
        call    .Lsay
1:      sti
        hlt
        jmp     1b

# Says the text at si, which ends with a zero. In it, codes below 6 with a word after them stand
# for the variable whose address that word is: 1 a number, 2 one of KiB in MiB, 3 one of bytes in
# MiB, 4 eight hexadecimal digits, 5 the first two of them. For 6 and 7, bx points at a file's
# fields: its CRC-32, its name.
.Lsay:
        pushal
1:      lodsb
        testb   %al, %al
        jz      9f
        cmpb    $6, %al
        jb      2f
        je      4f
        cmpb    $7, %al
        je      5f
        call    .Lput
        jmp     1b
2:      movzbw  %al, %cx
        lodsw
        xchgw   %ax, %di
        movl    (%di), %eax
        cmpb    $4, %cl
        jae     6f
        decw    %cx
        jz      3f
        shrl    $10, %eax
        decw    %cx
        jz      3f
        shrl    $10, %eax
3:      call    .Ldecimal
        jmp     1b
4:      movl    .Lfile_crc(%bx), %eax
        movb    $4, %cl
6:      movb    $8, %ch
        je      7f
        movb    $2, %ch
7:      roll    $4, %eax
        pushl   %eax
        andb    $15, %al
        cmpb    $10, %al
        sbbb    $0x69, %al
        das
        call    .Lput
        popl    %eax
        decb    %ch
        jnz     7b
        jmp     1b
5:      pushw   %si
        movw    %bx, %si
        call    .Lsay
        popw    %si
        jmp     1b
9:      popal
        ret

# Says eax in decimal.
.Ldecimal:
        pushal
        movl    $10, %ebx
        xorl    %edx, %edx
        divl    %ebx
        testl   %eax, %eax
        jz      1f
        call    .Ldecimal
1:      xchgw   %ax, %dx
        addb    $'0', %al
        call    .Lput
        popal
        ret

# Writes the character in al to the screen and to the serial line.
.Lput:
        pushal
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        call    .Lsettle
        popal
        pushal
        movw    .Lf_serial_port, %dx
        testw   %dx, %dx
        jz      2f
        addw    $5, %dx
        movb    %al, %ah
        xorw    %cx, %cx
1:      inb     %dx, %al
        testb   $0x20, %al                  # it takes another byte
        loopz   1b
        subw    $5, %dx
        movb    %ah, %al
        outb    %al, %dx
2:      popal
        ret

# Calls the 32-bit code at bp, with all memory in reach. Changes eax, and what that code changes.
.Lin32:
        cli
        lgdtl   .Lgdt - .Ls + .Lbase
        movzwl  %bp, %ebp
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmp    $0x08, $(1f - .Ls + .Lbase)
        .code32
1:      movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        call    *%ebp
        ljmp    $0x18, $(2f - .Ls + .Lbase)
        .code16
2:      movw    $0x20, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    %cr0, %eax
        andb    $0xfe, %al
        movl    %eax, %cr0
        ljmp    $0, $(3f - .Ls + .Lbase)
3:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        sti
        ret

        .code32
# Copies ecx bytes of what was read to .Lto and goes on with the CRC over the copy.
.Lcopy:
        pushal
        movl    $.Lbuffer, %esi
        movl    .Lto, %edi
        pushl   %edi
        pushl   %ecx
        addl    $3, %ecx
        shrl    $2, %ecx
        rep movsl
        popl    %ecx
        popl    %esi
        movl    .Lcrc, %eax
1:      subl    $8, %ecx
        jb      2f
        xorl    (%esi), %eax
        movl    4(%esi), %edx
        addl    $8, %esi
        movzbl  %al, %ebx
        movl    .Ltables + 7 * 1024(, %ebx, 4), %edi
        movzbl  %ah, %ebx
        xorl    .Ltables + 6 * 1024(, %ebx, 4), %edi
        shrl    $16, %eax
        movzbl  %al, %ebx
        xorl    .Ltables + 5 * 1024(, %ebx, 4), %edi
        movzbl  %ah, %ebx
        xorl    .Ltables + 4 * 1024(, %ebx, 4), %edi
        movzbl  %dl, %ebx
        xorl    .Ltables + 3 * 1024(, %ebx, 4), %edi
        movzbl  %dh, %ebx
        xorl    .Ltables + 2 * 1024(, %ebx, 4), %edi
        shrl    $16, %edx
        movzbl  %dl, %ebx
        xorl    .Ltables + 1 * 1024(, %ebx, 4), %edi
        movzbl  %dh, %ebx
        xorl    .Ltables(, %ebx, 4), %edi
        movl    %edi, %eax
        jmp     1b
2:      addl    $8, %ecx
        jz      4f
3:      movzbl  %al, %ebx
        xorb    (%esi), %bl
        incl    %esi
        shrl    $8, %eax
        xorl    .Ltables(, %ebx, 4), %eax
        loop    3b
4:      movl    %eax, .Lcrc
        movl    %esi, .Lto
        popal
        ret

# Takes the kernel apart: setup code to where it runs, the rest to where the file was.
.Lplace:
        movl    $.Lkernel, %esi
        movl    $.Lsetup, %edi
        movl    .Lf_setup_bytes, %ecx
        rep movsb
        movl    $.Lkernel, %edi
        movl    .Lf_kernel + .Lfile_bytes, %ecx
        rep movsb
        ret

# Nothing, and in it what lgdt wants; code and data of 32 bits; the same of 16 bits.
        .balign 4
.Lgdt:  .word   39
        .long   .Lgdt - .Ls + .Lbase
        .word   0
        .quad   0x00cf9a000000ffff
        .quad   0x00cf92000000ffff
        .quad   0x00009a000000ffff
        .quad   0x000092000000ffff

.Lm_load:
        .asciz  "\r\nlkbuild: \7 "
.Lm_start:
        .asciz  "\r\nlkbuild: starting\r\n"
.Lm_stop:
        .asciz  "\r\nlkbuild: NOT STARTED: "
.Lm_ram:
        .ascii  "this system needs \2"
        .word   .Lf_ram_kib
        .ascii  " MiB of RAM, and there are \2"
        .word   .Lfound_kib
        .asciz  " MiB\r\nlkbuild: give the machine more memory"
.Lm_room:
        .ascii  "no room in RAM for an initrd of \3"
        .word   .Lf_initrd + .Lfile_bytes
        .ascii  " MiB between \4"
        .word   .Lf_floor
        .ascii  " and \4"
        .word   .Lf_ceiling
        .asciz  ""
.Lm_read:
        .ascii  "the \7 can't be read at sector \1"
        .word   .Lpacket_lba
        .ascii  ": error \5"
        .word   .Lstatus
        .asciz  "\r\nlkbuild: check the medium and its drive, or write it again"
.Lm_crc:
        .ascii  "the \7 has the checksum \4"
        .word   .Lcrc
        .asciz  ", and must have \6\r\nlkbuild: the image is damaged: write it again, or build it anew"
.Lm_a20:
        .asciz  "this machine's A20 line can't be switched on"

        .org    .Ls + 2048
lkbuild_bios_stage2_end:
        .code64
        .text
