import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { translate } from './sayings.ts'
import { whyInSpanish } from './why-es.ts'

/** Templates of all `say` in a source file. */
function templatesIn(source: string): string[] {
  const templates: string[] = []
  for (let at = source.indexOf('say`'); at !== -1; at = source.indexOf('say`', at + 1)) {
    let [template, depth, values] = ['', 0, 0]
    for (let i = at + 4; depth > 0 || source[i] !== '`'; i++) {
      if (source.startsWith('${', i)) {
        if (depth === 0) template += `{${values++}}`
        depth++
        i++
      } else if (depth > 0) depth += source[i] === '{' ? 1 : source[i] === '}' ? -1 : 0
      else template += source[i]
    }
    templates.push(template)
  }
  return templates
}

test('each sentence of why is there in Spanish, with the same values, and no other', () => {
  const folder = fileURLToPath(new URL('../../../src/why/', import.meta.url))
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && !/\.test\.ts$|^saying\.ts$/.test(name))
  const templates = new Set(files.flatMap((name) => templatesIn(readFileSync(folder + name, 'utf8'))))
  assert.ok(templates.size > 80, String(templates.size))
  assert.deepEqual(Object.keys(whyInSpanish).sort(), [...templates].sort())
  const valuesIn = (text: string): string[] => (text.match(/\{\d+\}/g) ?? []).sort()
  for (const [template, text] of Object.entries(whyInSpanish))
    assert.deepEqual(valuesIn(text), valuesIn(template), text)
})

test('a sentence is translated with all that is in it, and stays English when a part is not known', () => {
  const said = {
    template: '{0} was not sent it: {1}{2}, {3}{4}.',
    values: [
      'ada {0}',
      { template: "its session's queue was full ({0})", values: [{ template: '{0} messages', values: [19_000] }] },
      '',
      '14:03:07',
      '',
    ],
  }
  const text = 'No se envió a ada {0}: la cola de su sesión estaba llena (19.000 mensajes), 14:03:07.'
  assert.equal(translate(said, whyInSpanish, 'es'), text)
  assert.equal(translate({ template: '{0} {1}', values: [said, 'x'] }, {}, 'es'), null)
  assert.equal(translate({ template: 'a new one', values: [] }, whyInSpanish, 'es'), null)
  assert.equal(translate({ template: '{0} {1} {2}', values: ['a', 1, 'c'] }, whyInSpanish, 'es'), 'a 1 c')
})
