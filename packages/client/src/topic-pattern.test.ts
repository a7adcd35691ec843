import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError, OptionError } from '@recado/protocol'
import type { Client } from './client.ts'
import type { Message, NoParams } from './message.ts'
import type { Subscription } from './subscription.ts'
import { type ParamsOf, parsePattern, type TopicParams } from './topic-pattern.ts'

const of = (pattern: string): { filter: string; params: (topic: string) => Readonly<Record<string, string>> } => {
  const parsed = parsePattern(pattern, false)
  return { filter: parsed.topicFilter, params: (topic) => parsed.paramsOf(topic) }
}

test(':name is + and #name is #, each with what it matched', () => {
  const { filter, params } = of('sensors/:id/temperature')
  assert.equal(filter, 'sensors/+/temperature')
  assert.deepEqual(params('sensors/kitchen/temperature'), { id: 'kitchen' })
  assert.deepEqual(params('sensors//temperature'), { id: '' })
  const rest = of(':site/+/:device/#path')
  assert.equal(rest.filter, '+/+/+/#')
  assert.deepEqual(rest.params('a/b/c/d/e'), { site: 'a', device: 'c', path: 'd/e' })
  assert.deepEqual(rest.params('a/b/c'), { site: 'a', device: 'c', path: '' })
})

test('of a Shared Subscription the Share Name has no parameter', () => {
  const { filter, params } = of('$share/:group/a/:b')
  assert.equal(filter, '$share/:group/a/+')
  assert.deepEqual(params('a/x'), { b: 'x' })
})

test('levels that only look like parameters stay as they are', () => {
  assert.equal(of('a/:/b:c/+/#').filter, 'a/:/b:c/+/#')
  assert.deepEqual(of('a/:').params('a/:'), {})
  assert.equal(parsePattern('a/:b', true).topicFilter, 'a/:b')
})

test('what is no Topic Filter is refused, and a name that stands twice', () => {
  assert.throws(() => of('a/#b/c'), MqttError)
  assert.throws(() => of('a/b#c'), MqttError)
  assert.throws(() => of('a+/:b'), MqttError)
  assert.throws(() => parsePattern('a/#b', true), MqttError)
  assert.throws(() => parsePattern(7 as unknown as string, false))
  assert.throws(
    () => of(':a/b/:a'),
    (error) => error instanceof OptionError && /two parameters a;/.test(error.message),
  )
})

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const holds = <_Condition extends true>(): void => {}

test('the types of parameters follow from the Topic Filter', () => {
  // Checked by the compiler; there is nothing left to do at run time.
  holds<Equal<keyof TopicParams<'sensors/:id/temperature'>, 'id'>>()
  holds<Equal<keyof TopicParams<':a/+/:b/#rest'>, 'a' | 'b' | 'rest'>>()
  holds<Equal<keyof TopicParams<'$share/:group/x/:y'>, 'y'>>()
  holds<Equal<keyof TopicParams<'a/:/#'>, never>>()
  holds<Equal<TopicParams<'a/b'>, NoParams>>()
  holds<Equal<TopicParams<string>, Readonly<Record<string, string>>>>()
  holds<Equal<ParamsOf<readonly ['a/:x', 'b/:y']>, TopicParams<'a/:x'> | TopicParams<'b/:y'>>>()
  // What subscribe() makes of them; never called.
  const examples = (client: Client, filter: string): void => {
    const one: Subscription<Readonly<Record<'id', string>>> = client.subscribe('sensors/:id/#')
    const none: Subscription = client.subscribe(['a', 'b/+'])
    client.subscribe('a/:b', (message) => {
      const text: string = message.params.b
      // @ts-expect-error: there is no parameter c
      return void [text, message.params.c]
    })
    client.subscribe(['a/:b', 'c'], { qos: 1 }, async (message) => {
      if ('b' in message.params) message.params.b.trim()
    })
    const unknown: Subscription<Readonly<Record<string, string>>> = client.subscribe(filter)
    const message: Message = null as unknown as Message
    // @ts-expect-error: a message of a filter without parameters has none
    void [one, none, unknown, message.params.id]
  }
  assert.equal(typeof examples, 'function')
})
