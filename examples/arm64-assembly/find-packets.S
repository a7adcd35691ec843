/* Whole packets in a receive buffer: TCP delivers a stream, which may end in the middle of a packet (section 4.2). */

    .equ FRAME_READY, 0
    .equ FRAME_INCOMPLETE, 1
    .equ FRAME_MALFORMED, 2
    .equ FRAME_TOO_LARGE, 3

    .text
    .p2align 4
    .global asm_find_packets
    .type asm_find_packets, %function

/* x0: data, x1: length, x2: packet_size_max, x3: places, x4: places_max, x5: status. Returns the number of packets. */
asm_find_packets:
    mov     x6, #0                  /* offset of the packet */
    mov     x7, #0                  /* packets found */
    mov     w15, #FRAME_READY
next_packet:
    cmp     x7, x4
    b.hs    done
    cmp     x6, x1
    b.hs    done                    /* the buffer ends with a packet */
    add     x8, x6, #1              /* offset of the Remaining Length */
    mov     x9, #0                  /* Remaining Length so far */
    mov     w10, #0                 /* shift of the next byte */
1:  cmp     x8, x1
    b.hs    incomplete
    ldrb    w11, [x0, x8]
    and     x12, x11, #0x7f
    lsl     x12, x12, x10
    orr     x9, x9, x12
    add     w10, w10, #7
    add     x8, x8, #1
    tbz     w11, #7, 2f
    cmp     w10, #28
    b.lo    1b
    mov     w15, #FRAME_MALFORMED   /* four bytes, and a fifth would follow */
    b       done
2:  sub     x13, x8, x6             /* bytes of the fixed header */
    add     x13, x13, x9            /* bytes of the packet */
    cmp     x13, x2
    b.hi    too_large
    sub     x14, x1, x6             /* bytes that are there */
    cmp     x14, x13
    b.lo    incomplete
    stp     x6, x13, [x3], #16
    add     x6, x6, x13
    add     x7, x7, #1
    b       next_packet
incomplete:
    mov     w15, #FRAME_INCOMPLETE
    b       done
too_large:
    mov     w15, #FRAME_TOO_LARGE
done:
    str     w15, [x5]
    mov     x0, x7
    ret
    .size asm_find_packets, . - asm_find_packets
    .section .note.GNU-stack, "", %progbits
