import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MqttError } from '@recado/protocol'
import { AclAccess, AclRules } from './rules.ts'

const { Read, Write } = AclAccess
const parse = (...lines: string[]): AclRules => AclRules.parse(lines.join('\n'), 'acl')

/** r, w, rw or '' for a client and a topic. */
function rights(rules: AclRules, topic: string, username?: string, clientId = 'c'): string {
  const client = rules.of(clientId, username)
  const both: [number, string][] = [
    [Read, 'r'],
    [Write, 'w'],
  ]
  return both
    .map(([access, letter]) => {
      const isAllowed = client.may(topic, access)
      assert.equal(client.explain(topic, access).isAllowed, isAllowed, 'the reason is for the same answer')
      return isAllowed ? letter : ''
    })
    .join('')
}

describe('an ACL file', () => {
  test('gives clients without a user name what stands above the first user, and others only their own', () => {
    const rules = parse(
      'topic read news',
      'user ada',
      'topic write a',
      'user bob',
      'topic b',
      'user ada',
      'topic read c',
    )
    assert.deepEqual(
      ['news', 'a', 'b', 'c'].map((topic) => rights(rules, topic)),
      ['r', '', '', ''],
    )
    assert.deepEqual(
      ['news', 'a', 'b', 'c'].map((topic) => rights(rules, topic, 'ada')),
      ['', 'w', '', 'r'],
    )
    assert.equal(rights(rules, 'b', 'bob'), 'rw')
    assert.equal(rights(rules, 'b', 'nobody'), '')
    assert.equal(rights(rules, 'news', ''), 'r', 'an empty user name is none')
  })

  test('denies what no line allows; an empty file denies everything', () => {
    assert.equal(rights(parse(''), 'a'), '')
    assert.equal(rights(parse('# nothing'), 'a', 'ada'), '')
  })

  test('puts every deny first, wherever it stands', () => {
    const rules = parse('user ada', 'topic readwrite a/#', 'topic deny a/secret/#', 'pattern read a/secret/%u')
    assert.equal(rights(rules, 'a/x', 'ada'), 'rw')
    assert.equal(rights(rules, 'a/secret', 'ada'), '', 'a/secret/# matches its parent')
    assert.equal(rights(rules, 'a/secret/ada', 'ada'), '', 'a deny of the user comes before patterns')
  })

  test('denies reading or writing alone by readdeny and writedeny, wherever they stand', () => {
    const rules = parse('user ada', 'topic readwrite a/#', 'topic readdeny a/secret', 'pattern writedeny a/state/%c')
    assert.equal(rights(rules, 'a/b', 'ada'), 'rw')
    assert.equal(rights(rules, 'a/secret', 'ada'), 'w')
    const all = parse('user ada', 'topic writedeny x/#', 'topic readdeny x/y', 'topic x/#')
    assert.equal(rights(all, 'x/y', 'ada'), '')
    assert.equal(rights(all, 'x/z', 'ada'), 'r')
    const patterns = parse('pattern readwrite %c/#', 'pattern writedeny %c/state')
    assert.equal(rights(patterns, 'c/state', undefined), 'r')
    const single = parse('topic deny', 'topic readdeny')
    assert.equal(rights(single, 'readdeny', undefined), 'rw', 'a single word is a topic')
  })

  test('lets a right of the user stand before a deny in a pattern', () => {
    const rules = parse('user ada', 'topic read a/b', 'pattern deny a/b', 'pattern write a/b')
    assert.equal(rights(rules, 'a/b', 'ada'), 'r')
    assert.equal(rights(rules, 'a/b', 'bob'), '')
  })

  test('puts the Client Identifier for %c and the user name for %u, once', () => {
    const rules = parse('pattern read to/%c', 'pattern write from/%u/%c/#', 'pattern both/%u%u')
    assert.equal(rights(rules, 'to/c1', undefined, 'c1'), 'r')
    assert.equal(rights(rules, 'to/c2', undefined, 'c1'), '')
    assert.equal(rights(rules, 'from/ada/c1/x', 'ada', 'c1'), 'w')
    assert.equal(rights(rules, 'from//c1/x', undefined, 'c1'), '', 'a pattern with %u needs a user name')
    assert.equal(rights(rules, 'both/adaada', 'ada'), 'rw')
    assert.equal(rights(rules, 'to/ada', 'ada', '%u'), '', 'what has been put in is not a pattern again')
    assert.equal(rights(rules, 'to/%u', 'ada', '%u'), 'r')
  })

  test('gives nothing from patterns to a name with a wildcard in it, and says why', () => {
    const rules = parse('user +', 'topic read own', 'pattern readwrite %u/#', 'pattern readwrite c/%c')
    for (const [username, clientId] of [
      ['+', 'c'],
      ['#', 'c'],
      ['ada', 'x+'],
      ['ada', '#'],
    ] as const) {
      assert.equal(rights(rules, `${username}/x`, username, clientId), '')
      assert.equal(rights(rules, 'bob/x', username, clientId), '')
      assert.equal(rights(rules, 'c/c', username, clientId), '')
      assert.match(rules.of(clientId, username).explain('bob/x', Read).why, /has a \+ or # in it/)
    }
    assert.equal(rights(rules, 'own', '+'), 'r', 'its own section holds')
  })

  test('keeps $ topics apart, and lets nobody write to $SYS but the state of a bridge', () => {
    const rules = parse('topic #', 'topic read $SYS/#', 'topic write $SYS/#', 'topic $x/#', 'topic $share/#')
    assert.equal(rights(rules, 'a'), 'rw')
    assert.equal(rights(rules, '$SYS/broker/uptime'), 'r')
    assert.equal(rights(rules, '$SYS/broker/connection/b/state'), 'rw')
    assert.equal(rights(rules, '$x/a'), 'rw')
    assert.equal(rights(rules, '$share/a/b'), 'r')
    assert.equal(rights(rules, '$other'), '')
    assert.equal(rights(parse('topic +/a'), '$x/a'), '')
  })

  test('takes topics with blanks, comments, Windows line ends and blanks around lines', () => {
    const rules = parse(
      '# a comment',
      '',
      '  topic read a b/c d  \r',
      '\tuser Ada Lovelace',
      'topic\twrite\tx y',
      '  # another',
    )
    assert.equal(rights(rules, 'a b/c d'), 'r')
    assert.equal(rights(rules, 'x y', 'Ada Lovelace'), 'w')
  })

  test('takes a single word after topic for the topic, whatever it is', () => {
    assert.equal(rights(parse('topic read'), 'read'), 'rw')
  })

  test('is refused with file and line when a line cannot be understood', () => {
    for (const [line, what] of [
      ['topic', /^acl:2: "topic" has no topic behind it: write topic TOPIC$/],
      ['pattern', /^acl:2: "pattern" has no topic behind it/],
      ['user', /^acl:2: "user" has no name behind it/],
      [
        'topic a b',
        /^acl:2: "a" is no kind of access: write one of read, write, readwrite, deny, readdeny, writedeny$/,
      ],
      ['topic constructor a', /^acl:2: "constructor" is no kind of access/],
      ['topic read a/#/b', /^acl:2: "a\/#\/b" is not a topic or Topic Filter$/],
      ['topic a+', /^acl:2: "a\+" is not a topic or Topic Filter$/],
      ['group x', /^acl:2: "group" is unknown: a line begins with user, topic or pattern$/],
      ['topic rea\x1bd x', /^acl:2: "rea\?d" is no kind of access/],
    ] as const) {
      assert.throws(
        () => parse('# first', line),
        (error: unknown) =>
          error instanceof MqttError && error.code === 'ERR_MQTT_ACL_FILE' && what.test(error.message),
        line,
      )
    }
  })

  test('warns of a pattern without %c and %u, which is for everybody', () => {
    assert.deepEqual(parse('pattern read a', 'pattern %c').warnings, [
      'acl:1: the pattern has neither %c nor %u, so it applies to every client',
    ])
  })

  test('names the line that decided', () => {
    const rules = parse('pattern read to/%c', 'user ada', 'topic deny x', 'topic x')
    const why = (topic: string, access: number): string => rules.of('c1', 'ada').explain(topic, access).why
    assert.equal(why('to/c1', Read), 'line 1: pattern read to/%c (for this client to/c1)')
    assert.equal(why('x', Write), 'line 3: topic deny x')
    assert.equal(why('y', Write), 'no line allows it')
    assert.equal(why('$SYS/a', Write), 'no client is allowed to publish to this topic, whatever the file says')
  })

  test('answers for more topics than are remembered', () => {
    const client = parse('topic read a/+').of('c', undefined)
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 2_500; i++) {
        assert.equal(client.may(`a/${i}`, Read), true)
        assert.equal(client.may(`a/${i}`, Write), false)
      }
    }
  })
})
