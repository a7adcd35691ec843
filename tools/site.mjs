/*
 * `npm run site`: builds the documentation as static pages in site/dist, with a search that needs no server.
 *
 * `npm run site -- --serve [PORT]` builds and serves them on the loopback. The generator (VitePress) is a package of its
 * own in site/, installed on the first run, so that nobody who builds or tests Recado has to install it. Links between
 * pages are checked by the build, links to code by the tests in tools/tidy. SITE_REPOSITORY is the address that links to
 * code begin with; without it they are plain text.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './lib/workspace.mjs'

const usage = `npm run site [-- --serve [PORT]]

  --serve [PORT]   serve the pages on 127.0.0.1 after building them; default port 4173

SITE_REPOSITORY    address before the path of a file, for links to code
                   (https://…/blob/main); without it they are plain text`

const [flag, port = '4173', ...more] = process.argv.slice(2)
if (flag === '--help') {
  console.log(usage)
  process.exit(0)
}
if ((flag !== undefined && flag !== '--serve') || more.length > 0 || !/^\d{1,5}$/.test(port)) {
  console.error(usage)
  process.exit(2)
}

const site = join(root, 'site')
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: site, stdio: 'inherit' })
  if (status !== 0) {
    console.error(`${command} ${args.join(' ')} failed${error === undefined ? '' : `: ${error.message}`}`)
    process.exit(1)
  }
}

// Installed once for each lock file.
const lock = readFileSync(join(site, 'package-lock.json'), 'utf8')
const installed = join(site, 'node_modules', '.installed-lock.json')
if (!existsSync(installed) || readFileSync(installed, 'utf8') !== lock) {
  run('npm', ['ci', '--no-audit', '--no-fund'])
  writeFileSync(installed, lock)
}

rmSync(join(site, '.pages'), { recursive: true, force: true })
cpSync(join(root, 'docs'), join(site, '.pages'), { recursive: true })
const vitepress = join(site, 'node_modules', 'vitepress', 'bin', 'vitepress.js')
run(process.execPath, [vitepress, 'build'])
console.log(`The pages are in ${join(site, 'dist')}.`)
if (flag === '--serve') run(process.execPath, [vitepress, 'preview', '--host', '127.0.0.1', '--port', port])
