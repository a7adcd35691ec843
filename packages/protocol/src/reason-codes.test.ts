import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolError } from './errors.ts'
import { ReasonCode, reasonCodeName } from './reason-codes.ts'

test('every Reason Code has a name of whole words', () => {
  assert.equal(reasonCodeName(0x9b), 'QoS Not Supported')
  assert.equal(reasonCodeName(ReasonCode.GrantedQoS1), 'Granted QoS 1')
  assert.equal(reasonCodeName(0x87), 'Not Authorized')
  assert.equal(reasonCodeName(0xee), 'Reason Code 0xee')
  for (const code of Object.values(ReasonCode)) {
    for (const word of reasonCodeName(code).split(' ')) assert.match(word, /^(?:QoS|[A-Z][a-z]+|\d)$/)
  }
})

test('an error names its Reason Code, and has its detail alone for where that is named already', () => {
  const error = new ProtocolError(ReasonCode.QoSNotSupported, 'QoS 2, the highest is 1')
  assert.equal(error.message, 'QoS Not Supported: QoS 2, the highest is 1')
  assert.equal(error.detail, 'QoS 2, the highest is 1')
})
