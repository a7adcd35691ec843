/* PUBLISH: first byte, Remaining Length, Topic Name, Packet Identifier at QoS 1 and 2, payload (section 3.3). */

    /* struct publish of ../c-sockets/packets/publish.h; check-arm64.c asserts these offsets. */
    .equ DUP, 0
    .equ QOS, 1
    .equ RETAIN, 2
    .equ TOPIC, 8
    .equ PACKET_ID, 24
    .equ PAYLOAD, 32

    .text
    .p2align 4
    .global asm_encode_publish
    .type asm_encode_publish, %function

/* x0: buffer, x1: size, x2: struct publish. Returns the length of the packet, or 0. Calls nothing, so needs no stack. */
asm_encode_publish:
    ldrb    w3, [x2, #QOS]
    ldrb    w4, [x2, #DUP]
    ldrb    w5, [x2, #RETAIN]
    ldrh    w6, [x2, #PACKET_ID]
    ldp     x7, x8, [x2, #TOPIC]    /* x7: topic, x8: its length */
    ldp     x9, x10, [x2, #PAYLOAD] /* x9: payload, x10: its length */

    cmp     w3, #2
    b.hi    refused
    sub     x11, x8, #1
    mov     w12, #65535
    cmp     x11, x12
    b.hs    refused                 /* a topic of 0 bytes, or above 65535 */
    cmp     w3, #0
    cset    w11, ne
    cmp     w6, #0
    cset    w12, ne
    cmp     w11, w12
    b.ne    refused                 /* a Packet Identifier belongs to QoS 1 and 2 only */
    bic     w12, w4, w11
    cbnz    w12, refused            /* DUP does not belong to QoS 0 [MQTT-3.3.1-2] */

    /* No wildcard in a Topic Name [MQTT-3.3.2-2]: 16 bytes at a time, then one by one. */
    movi    v0.16b, #'#'
    movi    v1.16b, #'+'
    mov     x12, x7
    mov     x13, x8
1:  cmp     x13, #16
    b.lo    2f
    ld1     {v2.16b}, [x12], #16
    cmeq    v3.16b, v2.16b, v0.16b
    cmeq    v4.16b, v2.16b, v1.16b
    orr     v3.16b, v3.16b, v4.16b
    umaxv   b3, v3.16b
    fmov    w14, s3
    cbnz    w14, refused
    sub     x13, x13, #16
    b       1b
2:  cbz     x13, 3f
    ldrb    w14, [x12], #1
    cmp     w14, #'#'
    b.eq    refused
    cmp     w14, #'+'
    b.eq    refused
    sub     x13, x13, #1
    b       2b

3:  lsl     w11, w11, #1            /* 2 bytes of Packet Identifier, or none */
    add     x12, x8, #2
    add     x12, x12, x11
    add     x12, x12, x10           /* Remaining Length */
    cmp     x12, x10
    b.lo    refused                 /* the addition went over 64 bits */
    mov     x13, #0x0fffffff
    cmp     x12, x13
    b.hi    refused
    /* Bytes of the Remaining Length: one for each seven bits. */
    mov     x13, #2
    cmp     x12, #128
    cinc    x13, x13, hs
    mov     w14, #16384
    cmp     x12, x14
    cinc    x13, x13, hs
    mov     w14, #2097152
    cmp     x12, x14
    cinc    x13, x13, hs
    add     x13, x13, x12           /* bytes of the whole packet */
    cmp     x1, x13
    b.lo    refused

    /* First byte: type 3, DUP, QoS, RETAIN. */
    mov     w14, #0x30
    orr     w14, w14, w4, lsl #3
    orr     w14, w14, w3, lsl #1
    orr     w14, w14, w5
    strb    w14, [x0], #1
4:  and     w14, w12, #0x7f
    lsr     w12, w12, #7
    orr     w15, w14, #0x80
    cmp     w12, #0
    csel    w14, w15, w14, ne
    strb    w14, [x0], #1
    cbnz    w12, 4b

    rev16   w14, w8                 /* big-endian (section 1.5.2) */
    strh    w14, [x0], #2
    mov     x15, #0                 /* first the topic, then the payload */
copy:
    cmp     x8, #32
    b.lo    5f
    ldp     q0, q1, [x7], #32
    stp     q0, q1, [x0], #32
    sub     x8, x8, #32
    b       copy
5:  tbz     x8, #4, 6f
    ldr     q0, [x7], #16
    str     q0, [x0], #16
6:  tbz     x8, #3, 7f
    ldr     x14, [x7], #8
    str     x14, [x0], #8
7:  tbz     x8, #2, 8f
    ldr     w14, [x7], #4
    str     w14, [x0], #4
8:  tbz     x8, #1, 9f
    ldrh    w14, [x7], #2
    strh    w14, [x0], #2
9:  tbz     x8, #0, 10f
    ldrb    w14, [x7], #1
    strb    w14, [x0], #1
10: cbnz    x15, 12f
    mov     x15, #1
    cbz     w11, 11f
    rev16   w14, w6
    strh    w14, [x0], #2
11: mov     x7, x9
    mov     x8, x10
    b       copy
12: mov     x0, x13
    ret
refused:
    mov     x0, #0
    ret
    .size asm_encode_publish, . - asm_encode_publish
    .section .note.GNU-stack, "", %progbits
