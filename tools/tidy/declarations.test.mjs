/* The reader of declaration files, on a sample in the form that tsc gives them. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { apiPage, readApi, undocumented } from '../lib/api-page.mjs'
import { exportsOf } from '../lib/declarations.mjs'

const files = {
  'mod.d.ts': `/** About the file. */
import { type B } from './b.ts';
export { type B, hidden as default } from './b.ts';
export * from './c.ts';
export { P } from '@recado/protocol';
/**
 * Opens a \`B\`.
 * And says so.
 */
export declare function open(options: {
    name: string;
}): B;
/** Also by name. */
export declare function open(name: string): B;
//# sourceMappingURL=mod.d.ts.map`,
  'b.d.ts': `/** About the file. */
interface Private {
    x: number;
}
declare const hidden: Private;
export declare class B<T = string> {
    #private;
    constructor(x: T);
    /** Its value; \`'a' | '}'\`. */
    readonly value: T;
    /** One. */
    call(a: string): void;
    /** Two, of the caller's own ('x'). */
    call(a: {
        b: number;
    }): void;
    get size(): number;
}
export { hidden };`,
  'c.d.ts': `/** About the file. */
/** Either. */
export type C = 'one;' | {
    readonly a: number;
} | 'two';
export {};`,
  'protocol.d.ts': `/** About the file. */
export declare const P = 1;`,
}

function inFolder(run) {
  const folder = mkdtempSync(join(tmpdir(), 'declarations-'))
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    return run(join(folder, 'mod.d.ts'), () => join(folder, 'protocol.d.ts'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('exports are found with docstrings, overloads and members, through other files and packages', () => {
  files['mod.d.ts'] = files['mod.d.ts'].replace('type B, hidden as default', 'type B')
  inFolder((mod, packageFile) => {
    const found = exportsOf(mod, packageFile)
    assert.deepEqual([...found.keys()], ['B', 'C', 'P', 'open'])
    assert.deepEqual(
      found.get('open').map(({ doc }) => doc),
      ['Opens a `B`.\nAnd says so.', 'Also by name.'],
    )
    assert.equal(found.get('P')[0].from, '@recado/protocol')
    const [{ members }] = found.get('B')
    assert.deepEqual(
      members.map(({ name, doc }) => [name, doc]),
      [
        ['value', "Its value; `'a' | '}'`."],
        ['call', 'One.'],
        ['call', "Two, of the caller's own ('x')."],
        ['size', ''],
      ],
    )
    assert.equal(found.get('C')[0].signature, "type C = 'one;' | {\n    readonly a: number;\n} | 'two';")
  })
})

test('what has no docstring is named, and names in docstrings become links', () => {
  inFolder((mod, packageFile) => {
    const api = readApi(new Map([['pkg', mod]]), packageFile)
    assert.deepEqual(undocumented(api), ['B', 'B.size'])
    const page = apiPage('Title', 'Intro', api)
    assert.match(page, /^Opens a \[`B`\]\(#b\)\.$/m)
    assert.match(page, /#### B\.call\(\)\n\n```ts\ncall\(a: string\): void\ncall\(a: \{\n/)
    assert.match(page, /#### B\.size\n/)
  })
})

test('a name that is not exported there is an error', () => {
  files['mod.d.ts'] = `/** x */\nexport { Nothing } from './b.ts';`
  inFolder((mod, packageFile) => assert.throws(() => exportsOf(mod, packageFile), /does not export Nothing/))
})
