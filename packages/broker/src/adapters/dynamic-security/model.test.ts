/** The file of dynamic security: both forms of Mosquitto, what is of no use in it, the layout. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { member, parseJson, printed } from './json.ts'
import { Model } from './model.ts'

const takesAll = (text: string) => ({ hash: text })

test('what was read is written again: names in order, roles by priority, passwords in the form that both Mosquittos read', () => {
  const model = Model.from(
    {
      clients: [
        { username: 'old', password: 'aGFzaA==', salt: 'c2FsdA==', iterations: 101 },
        { username: 'new', encoded_password: '$7$1000$c2FsdA==$aGFzaA==' },
        {
          username: 'argon',
          encoded_password: '$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA',
          disabled: true,
          clientid: 'c',
        },
        { username: 'none', roles: [{ rolename: 'b' }, { rolename: 'a' }, { rolename: 'c', priority: 4 }] },
      ],
      roles: [{ rolename: 'c' }, { rolename: 'b' }, { rolename: 'a', allowwildcardsubs: false }],
    },
    takesAll,
  )
  assert.deepEqual(member(model.toJson(), 'clients'), [
    {
      username: 'argon',
      clientid: 'c',
      disabled: true,
      roles: [],
      encoded_password: '$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA',
    },
    { username: 'new', roles: [], password: 'aGFzaA==', salt: 'c2FsdA==', iterations: 1000 },
    { username: 'none', roles: [{ rolename: 'c', priority: 4 }, { rolename: 'a' }, { rolename: 'b' }] },
    { username: 'old', roles: [], password: 'aGFzaA==', salt: 'c2FsdA==', iterations: 101 },
  ])
  const again = Model.from(model.toJson(), takesAll)
  assert.deepEqual(again.toJson(), model.toJson())
  assert.deepEqual(model.warnings, [])
})

test('entries of no use are passed over, and each is told', () => {
  const model = Model.from(
    {
      clients: [
        { username: '' },
        5,
        { username: 'a' },
        { username: 'a', disabled: true },
        { username: 'b', encoded_password: 'x' },
      ],
      roles: {},
      groups: [{ groupname: 'g', clients: [{ username: 'nobody' }], roles: [{ rolename: 'none' }] }],
      anonymousGroup: 'none',
    },
    () => 'is of an unknown kind',
  )
  assert.equal(model.clients.get('a')!.isDisabled, false)
  assert.equal(model.clients.get('b')!.password, null)
  assert.equal(model.anonymousGroup, null)
  assert.equal(model.groups.get('g')!.clients.size, 0)
  assert.deepEqual(model.warnings, [
    '"roles" is not a list, so it is ignored',
    'an entry has no "username", so it is ignored',
    'an entry has no "username", so it is ignored',
    'username "a" occurs twice; the first entry is used',
    'the password of user "b" is of an unknown kind; this user cannot log in',
  ])
})

test('names of members are found without regard to case, and those of Object are none', () => {
  const tree = parseJson('{"UserName":"a","__proto__":{"x":1}}')
  assert.equal(member(tree, 'username'), 'a')
  assert.equal(member(tree, 'x'), undefined)
  assert.equal(member(tree, 'toString'), undefined)
  assert.equal(member(Model.from(tree, takesAll).toJson(), 'anonymousGroup'), undefined)
})

test('the layout is that of cJSON_Print', () => {
  assert.equal(
    printed({ a: [{ b: 1, c: 'ü"\n' }, { d: [] }], e: {} }),
    '{\n\t"a":\t[{\n\t\t\t"b":\t1,\n\t\t\t"c":\t"ü\\"\\n"\n\t\t}, {\n\t\t\t"d":\t[]\n\t\t}],\n\t"e":\t{\n\t}\n}',
  )
})
