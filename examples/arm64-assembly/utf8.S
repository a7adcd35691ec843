/* UTF-8 without U+0000 (section 1.5.3), as table 3-7 of the Unicode Standard has it. */

    .text
    .p2align 4
    .global asm_is_utf8
    .type asm_is_utf8, %function

/* x0: data, x1: length (a struct of two words comes in two registers). Returns 1 or 0. */
asm_is_utf8:
ascii:
    cmp     x1, #16
    b.lo    character
    ldr     q0, [x0]
    umaxv   b1, v0.16b              /* the largest of 16 bytes: below 0x80 when all are ASCII */
    uminv   b2, v0.16b              /* the smallest: 0 would be U+0000 */
    fmov    w2, s1
    fmov    w3, s2
    tbnz    w2, #7, character
    cbz     w3, no
    add     x0, x0, #16
    sub     x1, x1, #16
    b       ascii

character:
    cbz     x1, yes
    ldrb    w2, [x0], #1
    sub     x1, x1, #1
    cbz     w2, no
    tbz     w2, #7, character       /* ASCII in a block that has something else: one by one up to there */
    mov     w5, #0x80               /* least second byte */
    mov     w6, #0xbf               /* largest second byte */
    cmp     w2, #0xc2
    b.lo    no                      /* a continuation byte, or an overlong form of ASCII */
    mov     x4, #1                  /* continuation bytes */
    cmp     w2, #0xe0
    b.lo    1f
    mov     x4, #2
    cmp     w2, #0xf0
    b.lo    3f
    mov     x4, #3
    cmp     w2, #0xf4
    b.hi    no                      /* above U+10FFFF */
    mov     w7, #0x90
    mov     w8, #0x8f
    cmp     w2, #0xf0
    csel    w5, w7, w5, eq          /* overlong below 0x90 */
    cmp     w2, #0xf4
    csel    w6, w8, w6, eq          /* above U+10FFFF from 0x90 */
    b       1f
3:  mov     w7, #0xa0
    mov     w8, #0x9f
    cmp     w2, #0xe0
    csel    w5, w7, w5, eq          /* overlong below 0xa0 */
    cmp     w2, #0xed
    csel    w6, w8, w6, eq          /* surrogates from 0xa0 */
1:  cmp     x1, x4
    b.lo    no
    sub     x1, x1, x4
2:  ldrb    w2, [x0], #1
    cmp     w2, w5
    b.lo    no
    cmp     w2, w6
    b.hi    no
    mov     w5, #0x80
    mov     w6, #0xbf
    subs    x4, x4, #1
    b.ne    2b
    b       ascii
yes:
    mov     w0, #1
    ret
no: mov     w0, #0
    ret
    .size asm_is_utf8, . - asm_is_utf8
    .section .note.GNU-stack, "", %progbits
