/** The form of mutants: each fits the compiled code in one place, and one that does not says what has changed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import { mutants as others } from './all.ts'
import { bridgeMutants } from './bridge.ts'
import { meshMutants } from './mesh.ts'
import { type Compiled, type Mutant, mutant, placeOf, readCompiled } from './mutant.ts'

const mutants = [...others, ...bridgeMutants, ...meshMutants]
const packages = new URL('../../../../', import.meta.url)

function compiledOf(name: string): Compiled {
  return readCompiled(fileURLToPath(new URL(name, packages)))
}

const allCompiled = (): Record<Mutant['package'], Compiled> => ({
  broker: compiledOf('broker'),
  client: compiledOf('client'),
  protocol: compiledOf('protocol'),
  recado: compiledOf('recado'),
})

test('every mutant fits the compiled code in exactly one place', () => {
  const compiled = allCompiled()
  const problems: string[] = []
  for (const each of mutants) {
    try {
      placeOf(each, compiled[each.package])
    } catch (error) {
      problems.push((error as Error).message)
    }
  }
  assert.deepEqual(problems, [])
})

/** Parses a compiled module. Without what only a module may have it is a script. */
function parse(code: string): void {
  const script = code
    .replace(/^import\s[\s\S]*?from '.*';$/gm, '')
    .replace(/^import '.*';$/gm, '')
    .replace(/^export (?:\*|\{[\s\S]*?\})(?: from '.*')?;$/gm, '')
    .replace(/^export (?:default )?/gm, '')
    .replaceAll('import.meta', '({})')
  new Script(`async function whole() {\n${script}\n}`)
}

test('every mutant leaves a module that can be parsed', () => {
  const compiled = allCompiled()
  for (const each of mutants) {
    const { path, start, end } = placeOf(each, compiled[each.package])
    const code = compiled[each.package].get(path)!
    assert.doesNotThrow(() => parse(code), `${path} as it is`)
    assert.doesNotThrow(() => parse(code.slice(0, start) + each.replace + code.slice(end)), each.name)
  }
})

test('mutants have different names', () => {
  assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length)
})

const CODE = `const first = 1;
export class Queue {
    length = 0;
    push(item) {
        if (this.isFull)
            return false;
        this.length++;
        return true;
    }
    clear() {
        this.length = 0;
    }
}
function helper() {
    this.length++;
}
`

test('a mutant finds its code by the function, however the lines are wrapped', () => {
  const compiled = new Map([['queue.js', CODE]])
  const { start, end } = placeOf(mutant('m', 'broker', 'Queue.push', 'if (this.isFull) return false;', ''), compiled)
  assert.equal(CODE.slice(start, end), 'if (this.isFull)\n            return false;')
  assert.equal(placeOf(mutant('m', 'broker', 'helper', 'this.length++;', ''), compiled).start, CODE.lastIndexOf('this'))
})

test('a mutant that does not fit says where its code stands now', () => {
  const compiled = new Map([['queue.js', CODE]])
  const place = (within: string, find: string) => () => placeOf(mutant('m', 'broker', within, find, ''), compiled)
  assert.throws(
    place('Queue.add', 'this.length++;'),
    /there is no Queue.add; it stands in queue.js: Queue.push, queue.js: helper/,
  )
  assert.throws(place('Queue.clear', 'this.length++;'), /its code is not in Queue.clear; it stands in/)
  assert.throws(place('Queue', 'this.length'), /its code stands 2 times in Queue: queue.js, queue.js/)
  assert.throws(place('helper', 'nothing'), /its code is not in helper; it stands nowhere else/)
})
