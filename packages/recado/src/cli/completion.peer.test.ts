/* The scripts of `recado completion` in the shells that they are for. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { skipWithout } from '@recado/testkit'
import { commandTable } from '../commands.ts'
import { printed, temporaryFolder } from '../testing/program.ts'

const TEST_MS = 300_000

async function scriptFor(context: TestContext, shell: string): Promise<string> {
  const path = join(temporaryFolder(context), `completion.${shell}`)
  writeFileSync(path, await printed('completion', shell))
  return path
}

function run(shell: string, argv: readonly string[], cwd?: string): string {
  const { status, stdout, stderr } = spawnSync(shell, argv, { encoding: 'utf8', timeout: TEST_MS, cwd })
  assert.equal(status, 0, stderr)
  assert.equal(stderr, '')
  return stdout
}

/** Command lines and what is to be among their completions; `!` before a word: it is not. */
const cases: readonly (readonly [line: string, ...expected: string[]])[] = [
  ['recado ', ...commandTable.map(({ name }) => name)],
  ['recado si', 'signal', '!sub'],
  ['recado sub --dec', '--decode'],
  ['recado sub --decode ', 'auto', 'sparkplug', '!json-schema'],
  ['recado pub --will-qos ', '0', '1', '2'],
  ['recado rr --lat', '--latency'],
  ['recado pub --lat', '!--latency'],
  ['mosquitto_sub --retain-h', '--retain-handling'],
  ['mosquitto_passwd -H ', 'argon2id', 'sha512-pbkdf2'],
  ['mosquitto --conf', '--config-file'],
  ['recado --test', '--test-config'],
  ['recado acl ', 'check'],
  ['recado signal tr', 'tree-print'],
  ['recado bench ', 'pair', 'conn'],
  ['recado pub --cafile ', 'some-file.pem'],
  ['recado inspect ', 'a-folder', '!some-file.pem'],
]

function check(line: string, expected: readonly string[], found: readonly string[]): void {
  for (const word of expected) {
    if (word.startsWith('!')) assert.ok(!found.includes(word.slice(1)), `${line}: ${word} in ${found}`)
    else assert.ok(found.includes(word), `"${line}": no ${word} in ${found.join(' ')}`)
  }
}

function placeOf(script: string): string {
  const folder = join(script, '..', 'place')
  mkdirSync(join(folder, 'a-folder'), { recursive: true })
  writeFileSync(join(folder, 'some-file.pem'), '')
  return folder
}

test('bash completes commands, options and values', {
  skip: skipWithout('bash'),
  timeout: TEST_MS,
}, async (context) => {
  const script = await scriptFor(context, 'bash')
  const place = placeOf(script)
  for (const [line, ...expected] of cases) {
    const words = line.split(' ').map((word) => `'${word}'`)
    const program = `source '${script}'; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _recado; printf '%s\\n' "\${COMPREPLY[@]}"`
    const found = run('bash', ['-c', program], place)
    check(line, expected, found.split('\n'))
  }
})

test('fish completes commands, options and values', {
  skip: skipWithout('fish'),
  timeout: TEST_MS,
}, async (context) => {
  const script = await scriptFor(context, 'fish')
  const place = placeOf(script)
  // The programs have to be there.
  for (const name of ['recado', 'mosquitto', 'mosquitto_sub', 'mosquitto_passwd']) {
    writeFileSync(join(script, '..', name), '#!/bin/sh\n')
    chmodSync(join(script, '..', name), 0o755)
  }
  for (const [line, ...expected] of cases) {
    const program = `set -x PATH ${join(script, '..')} $PATH; source ${script}; complete -C '${line}'`
    const found = run('fish', ['--no-config', '-c', program], place)
    check(
      line,
      expected,
      found.split('\n').map((each) => each.split('\t')[0]!.replace(/\/$/, '')),
    )
  }
})

/** A zsh in a pseudo terminal: types each line and a tab, and prints what is shown then. A prompt that is drawn is one where typing is read. */
const typist = String.raw`
zmodload zsh/zpty
zpty z 'COLUMNS=200 TERM=dumb zsh -f -i'
shown() { local all; zpty -r -m z all "*$1*"; print -r -- "$all"; }
zpty -w z "autoload -Uz compinit; compinit -u -D; source '$1'; LISTMAX=10000; PROMPT=':\$((6*7)):'; setopt prompt_subst"
shown ':42:' >/dev/null
shift
for line in "$@"; do
  zpty -w -n z "$line"$'\t'
  zpty -w z $'\x15print $((6*7))-end'
  shown '42-end*:42:'
  print -r -- --next--
done
zpty -d z
`

test('zsh completes commands, options and values', { skip: skipWithout('zsh'), timeout: TEST_MS }, async (context) => {
  const script = await scriptFor(context, 'zsh')
  const place = placeOf(script)
  const lines = cases.map(([line]) => line)
  const found = run('zsh', ['-f', '-c', typist, 'typist', script, ...lines], place).split('--next--\n')
  for (const [index, [line, ...expected]] of cases.entries()) {
    const words = found[index]!.replace(/\x1b\[[?\d;]*[a-zA-Z]/g, ' ').split(/[\s/:]+/)
    check(line, expected, words)
  }
})

test('every command and every option is in all three scripts', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = await printed('completion', shell)
    for (const { name, load } of commandTable) {
      assert.match(script, new RegExp(`\\b${name}\\b`), shell)
      for (const { names, isHidden } of (await load()).command.groups.flatMap(({ options }) => options)) {
        for (const each of names.filter((option) => option.startsWith('--') && isHidden !== true)) {
          assert.ok(script.includes(shell === 'fish' ? `-l ${each.slice(2)}` : each), `${shell} ${name} ${each}`)
        }
      }
    }
  }
})
