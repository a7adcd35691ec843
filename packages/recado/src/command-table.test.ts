import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Command, helpRow, helpText, isGiven, parseCommand, ToolError, valueIn } from './command-table.ts'

const command: Command = {
  name: 'cook',
  summary: 'cooks something.',
  usage: ['[options] DISH', '--list'],
  operands: [{ name: 'DISH', help: 'what to cook' }],
  groups: [
    {
      title: 'Kitchen',
      options: [
        { names: ['-p', '--pot'], value: 'SIZE', help: 'how large\n(default: small)', completes: ['small', 'large'] },
        { names: ['--salt'], value: 'GRAMS', help: 'may be repeated', repeats: true },
        { names: ['--an-option-with-a-long-name'], value: 'VALUE', help: 'its help is on a line of its own' },
        { names: ['--secret'], help: 'not shown', isHidden: true },
      ],
    },
    { title: 'Other', options: [{ names: ['-q', '--quiet'], help: 'say nothing' }, helpRow] },
  ],
  notes: 'See {program} --list.',
}

test('help has usage, operands, options in columns and notes', () => {
  assert.equal(
    helpText(command),
    `recado cook: cooks something.

Usage: recado cook [options] DISH
       recado cook --list

Kitchen:
  DISH                            what to cook
  -p, --pot SIZE                  how large
                                  (default: small)
      --salt GRAMS                may be repeated
      --an-option-with-a-long-name VALUE
                                  its help is on a line of its own

Other:
  -q, --quiet                     say nothing
  -h, --help                      show this help

See recado cook --list.
`,
  )
  assert.match(helpText(command, 'mosquitto_cook'), /^mosquitto_cook: cooks[\s\S]*See mosquitto_cook --list\.\n$/)
})

test('options are taken in every way of writing them', () => {
  for (const argv of [
    ['-p', 'large', 'soup'],
    ['-plarge', 'soup'],
    ['soup', '--pot=large'],
    ['--pot', 'large', '--', 'soup'],
  ]) {
    const parsed = parseCommand(command, argv)
    assert.equal(valueIn(parsed, '--pot'), 'large')
    assert.deepEqual(parsed.operands, ['soup'])
  }
  const parsed = parseCommand(command, ['--salt', '1', '--salt=2', '-q', '-'])
  assert.deepEqual(parsed.values.get('--salt'), ['1', '2'])
  assert.equal(isGiven(parsed, '--quiet'), true)
  assert.deepEqual(parsed.operands, ['-'])
  assert.deepEqual(parseCommand(command, ['soup -x'], true).operands, ['soup -x'])
  assert.equal(parseCommand(command, ['--help', '--nonsense']).isHelp, true)
})

test('what is not understood is refused with a hint', () => {
  for (const [argv, message] of [
    [['--pott', 'a'], 'unknown option "--pott", did you mean "--pot"?'],
    [['-x'], 'unknown option "-x", see recado cook --help'],
    [['-p'], '-p needs a value'],
    [['-p', 'tiny', 'soup'], '-p tiny: there is small, large'],
    [['-p', 'small', '--pot', 'large', 'soup'], '--pot may be given once'],
    [['--quiet=yes', 'soup'], '--quiet takes no value'],
    [[], 'DISH missing, see recado cook --help'],
    [['soup', 'stew'], '"stew" is one argument too many, see recado cook --help'],
  ] as const) {
    assert.throws(
      () => parseCommand(command, argv),
      (error) => error instanceof ToolError && error.message === message,
      argv.join(' '),
    )
  }
})
