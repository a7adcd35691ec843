/* Remaining Length: seven bits a byte, least significant first, bit 7 says that another byte follows (section 2.2.3). */

    .text
    .p2align 4
    .global asm_encode_remaining_length
    .type asm_encode_remaining_length, %function

/* x0: value, x1: out. Returns the number of bytes. */
asm_encode_remaining_length:
    mov     w2, #0x0fffffff         /* the largest: 28 bits */
    cmp     w0, w2
    b.hi    2f
    mov     x3, x1
1:  and     w4, w0, #0x7f
    lsr     w0, w0, #7
    orr     w5, w4, #0x80
    cmp     w0, #0
    csel    w4, w5, w4, ne          /* bit 7 is set when something is left */
    strb    w4, [x3], #1
    cbnz    w0, 1b
    sub     x0, x3, x1
    ret
2:  mov     x0, #0
    ret
    .size asm_encode_remaining_length, . - asm_encode_remaining_length

    .p2align 4
    .global asm_decode_remaining_length
    .type asm_decode_remaining_length, %function

/* x0: data, x1: length, x2: where to put the value. Returns the number of bytes, 0 or -1. */
asm_decode_remaining_length:
    mov     w3, #0                  /* value so far */
    mov     x4, #0                  /* bytes read */
    mov     w5, #0                  /* shift of the next byte */
1:  cmp     x4, #4
    b.eq    3f                      /* the fourth byte said that a fifth follows */
    cmp     x4, x1
    b.hs    2f
    ldrb    w6, [x0, x4]
    and     w7, w6, #0x7f
    lsl     w7, w7, w5
    orr     w3, w3, w7
    add     w5, w5, #7
    add     x4, x4, #1
    tbnz    w6, #7, 1b
    str     w3, [x2]
    mov     x0, x4
    ret
2:  mov     x0, #0
    ret
3:  mov     x0, #-1
    ret
    .size asm_decode_remaining_length, . - asm_decode_remaining_length
    .section .note.GNU-stack, "", %progbits
