import assert from 'node:assert/strict'
import { afterEach, beforeEach, mock, test } from 'node:test'
import { numberUpTo, runProgram, UsageError, wholeNumber } from './program.ts'

const usage = 'Usage: npm run it'
let out: string[] = []
let err: unknown[] = []

beforeEach(() => {
  out = []
  err = []
  mock.method(console, 'log', (text: string) => out.push(text))
  mock.method(console, 'error', (text: unknown) => err.push(text))
})
afterEach(() => mock.restoreAll())

const run = (args: string[], main: (values: { seed: string; fast: boolean }) => number): Promise<number> =>
  runProgram(usage, { seed: { type: 'string', default: '7' }, fast: { type: 'boolean', default: false } }, main, args)

test('a program gets its options, with defaults, and says the exit code', async () => {
  assert.equal(await run(['--fast'], ({ seed, fast }) => (seed === '7' && fast ? 1 : 0)), 1)
  assert.deepEqual([out, err], [[], []])
})

test('--help prints the usage and runs nothing', async () => {
  assert.equal(await run(['--help'], () => assert.fail('it runs')), 0)
  assert.deepEqual(out, [usage])
})

test('an option that there is not, or without its value, is said with the usage', async () => {
  for (const args of [['--sed', '1'], ['--seed'], ['word']]) {
    assert.equal(await run(args, () => assert.fail('it runs')), 2)
    assert.match(String(err.pop()), /(--sed|--seed|word)[\s\S]*\n\nUsage: npm run it$/)
  }
})

test('a value that will not do is said with the usage; a fault with its stack', async () => {
  assert.equal(await run(['--seed', '1.5'], ({ seed }) => wholeNumber('seed', seed)), 2)
  assert.equal(err.pop(), `--seed wants a whole number from 0, not "1.5"\n\n${usage}`)
  const fault = new TypeError('a defect')
  assert.equal(
    await run([], () => {
      throw fault
    }),
    2,
  )
  assert.equal(err.pop(), fault)
})

test('numbers are what they look like, and within their bounds', () => {
  assert.equal(wholeNumber('n', '12', 1), 12)
  for (const text of ['', '0', '-1', '1e3', '0x10', ' 1', '99999999999999999999'])
    assert.throws(() => wholeNumber('n', text, 1), UsageError)
  assert.equal(numberUpTo('n', '0.5', 60), 0.5)
  for (const text of ['', '0', '61', 'x']) assert.throws(() => numberUpTo('n', text, 60), UsageError)
})
