/*
 * `npm run site`: builds the documentation as static pages in site/dist, with a search that needs no server.
 *
 * `npm run site -- --serve [PORT]` builds and serves them on the loopback; `--screenshots` takes those of docs/ with
 * Chromium. The generator (VitePress) is a package of its
 * own in site/, installed on the first run, so that nobody who builds or tests Recado has to install it. Links between
 * pages are checked by the build, links to code by the tests in tools/tidy. SITE_REPOSITORY is the address that links to
 * code begin with; without it they are plain text.
 */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, run, runTool, ToolError } from './lib/workspace.mjs'

const usage = `npm run site [-- --serve [PORT] | --screenshots]

  --serve [PORT]   serve the pages on 127.0.0.1 after building them; default port 4173
  --screenshots    write docs/site-light.png, site-dark.png and site-phone.png with Chromium

SITE_REPOSITORY    address before the path of a file, for links to code
                   (https://…/blob/main); without it they are plain text`

const site = join(root, 'site')
const inSite = { cwd: site, stdio: 'inherit' }

async function main() {
  const [flag, port = '4173', ...more] = process.argv.slice(2)
  if (flag === '--help') {
    console.log(usage)
    return
  }
  const isKnown = [undefined, '--serve', '--screenshots'].includes(flag)
  if (!isKnown || more.length > 0 || !/^\d{1,5}$/.test(port)) throw new ToolError(usage, 2)

  // Installed once for each lock file.
  const lock = readFileSync(join(site, 'package-lock.json'), 'utf8')
  const installed = join(site, 'node_modules', '.installed-lock.json')
  if (!existsSync(installed) || readFileSync(installed, 'utf8') !== lock) {
    run('npm', ['ci', '--no-audit', '--no-fund'], { ...inSite, what: 'npm ci in site/' })
    writeFileSync(installed, lock)
  }

  rmSync(join(site, '.pages'), { recursive: true, force: true })
  cpSync(join(root, 'docs'), join(site, '.pages'), { recursive: true })
  const vitepress = join(site, 'node_modules', 'vitepress', 'bin', 'vitepress.js')
  run(process.execPath, [vitepress, 'build'], { ...inSite, what: 'vitepress build' })
  console.log(`The pages are in ${join(site, 'dist')}.`)
  if (flag === '--screenshots') {
    const { takeScreenshots } = await import('./lib/site-screenshots.mjs')
    await takeScreenshots(join(site, 'dist'), join(root, 'docs'))
  }
  if (flag === '--serve') {
    const address = ['--host', '127.0.0.1', '--port', port]
    run(process.execPath, [vitepress, 'preview', ...address], { ...inSite, what: 'vitepress preview' })
  }
}

await runTool(main)
