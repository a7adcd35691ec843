/**
 * Site of the documentation: the pages of `docs/` as they are, with a search that works without a server.
 *
 * `npm run site` (tools/site.mjs) calls VitePress with this. Pages link to the code, which is not part of the site: such a link leads to
 * `SITE_REPOSITORY` (for instance the address of a public repository's `blob/main`) when that is set, and is plain text
 * otherwise. A link to a page that does not exist ends the build with an error.
 */
import { dirname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Copy of `docs/` beside the packages that render it, made by tools/site.mjs. */
const pages = fileURLToPath(new URL('../.pages', import.meta.url))
const repository = process.env['SITE_REPOSITORY']?.replace(/\/$/, '')

/** Makes links out of `docs/` lead to the repository, or takes them away. */
function linkToCode(md) {
  md.core.ruler.push('link-to-code', (state) => {
    const page = state.env.realPath ?? state.env.path
    for (const { children } of state.tokens) {
      if (children === null) continue
      let isRemoved = false
      for (const token of children) {
        if (token.type === 'link_open') {
          const href = token.attrGet('href')
          if (/^(?:[a-z]+:|#|\/)/.test(href)) continue
          const target = resolve(dirname(page), decodeURI(href.split('#')[0]))
          const path = relative(pages, target)
          if (!path.startsWith('..')) continue
          isRemoved = repository === undefined
          if (isRemoved) token.type = 'code_link_open'
          else token.attrSet('href', `${repository}/${path.replace(/^\.\.\//, '')}`)
        } else if (token.type === 'link_close' && isRemoved) {
          token.type = 'code_link_close'
          isRemoved = false
        }
      }
    }
  })
  md.renderer.rules['code_link_open'] = () => '<span class="code-link">'
  md.renderer.rules['code_link_close'] = () => '</span>'
}

/** Makes `{{` and text in angle brackets plain text, which Vue would take for its own. */
function keepText(md) {
  const text = md.renderer.rules.text ?? ((tokens, i) => md.utils.escapeHtml(tokens[i].content))
  md.renderer.rules.text = (...args) => text(...args).replaceAll('{{', '&#123;&#123;')
}

/** Shows indented code as fenced code is shown: in a box that scrolls by itself. */
function boxCode(md) {
  md.renderer.rules.code_block = (tokens, i, ...rest) => {
    tokens[i].info = 'sh'
    return md.renderer.rules.fence(tokens, i, ...rest)
  }
}

const learn = ['bytes', 'connecting', 'publishing', 'subscribing', 'sessions', 'mqtt5', 'security']
const english = ['Bytes', 'Connecting', 'Publishing', 'Subscribing', 'What is kept', 'MQTT 5.0', 'Security']
const spanish = ['Bytes', 'Conectarse', 'Publicar', 'Suscribirse', 'Lo que se guarda', 'MQTT 5.0', 'Seguridad']
const lessons = (names, base) => names.map((text, i) => ({ text: `${i + 1}. ${text}`, link: `${base}${learn[i]}` }))
const items = (...pairs) => pairs.map(([text, link]) => ({ text, link }))

const spanishSearch = {
  button: { buttonText: 'Buscar', buttonAriaLabel: 'Buscar' },
  modal: {
    displayDetails: 'Mostrar detalles',
    resetButtonTitle: 'Borrar la búsqueda',
    backButtonTitle: 'Cerrar la búsqueda',
    noResultsText: 'Nada para',
    footer: { selectText: 'elegir', navigateText: 'moverse', closeText: 'cerrar' },
  },
}

export default {
  srcDir: './.pages',
  outDir: './dist',
  cacheDir: './.cache',
  title: 'Recado',
  description: 'An MQTT broker, client library and command line that lose nothing they have acknowledged',
  cleanUrls: false,
  rewrites: {
    'README.md': 'index.md',
    ':folder/README.md': ':folder/index.md',
    'es/learn/README.md': 'es/learn/index.md',
  },
  markdown: {
    config: (md) => {
      md.use(linkToCode)
      md.use(keepText)
      md.use(boxCode)
    },
  },
  locales: {
    root: { label: 'English', lang: 'en', link: '/learn/' },
    es: {
      label: 'Español',
      lang: 'es',
      link: '/es/learn/',
      themeConfig: {
        nav: items(['Aprender', '/es/learn/']),
        sidebar: [
          { text: 'MQTT desde cero', link: '/es/learn/', items: lessons(spanish, '/es/learn/') },
          {
            text: 'Más',
            items: items(
              ['En una Raspberry Pi', '/es/raspberry-pi'],
              ['MQTT en malas redes', '/es/network-lab'],
              ['El coste en la línea', '/es/wire-cost'],
            ),
          },
        ],
        outline: { label: 'En esta página' },
        docFooter: { prev: 'Anterior', next: 'Siguiente' },
      },
    },
  },
  themeConfig: {
    search: { provider: 'local', options: { locales: { es: { translations: spanishSearch } } } },
    nav: items(
      ['Learn', '/learn/'],
      ['Configuration', '/configuration'],
      ['Broker API', '/api/broker'],
      ['Client API', '/api/client'],
    ),
    sidebar: [
      { text: 'Learn', link: '/learn/', collapsed: false, items: lessons(english, '/learn/') },
      {
        text: 'Operate',
        items: items(
          ['Installing', '/installing'],
          ['Running', '/running'],
          ['Configuration', '/configuration'],
          ['Lints', '/lints'],
          ['Access', '/access'],
          ['Dynamic security', '/dynamic-security'],
          ['TLS and WebSocket', '/tls-and-websockets'],
          ['Bridges', '/bridge'],
          ['Rewritten and delayed topics', '/topics'],
          ['Durability', '/durability'],
          ['$SYS topics', '/sys-topics'],
          ['Metrics', '/metrics'],
          ['Errors', '/errors'],
          ['Refused connections', '/refusals'],
          ['Attacks', '/attacks'],
          ['Performance', '/performance'],
          ['Cost on the wire', '/wire-cost'],
          ['On bad networks', '/network-lab'],
          ['Tools', '/tools'],
        ),
      },
      {
        text: 'Migrate',
        items: items(
          ['From Mosquitto', '/migrating-from-mosquitto'],
          ['Tools compared', '/tools-compared'],
          ['From aedes', '/migrating-from-aedes'],
          ['From MQTT.js', '/migrating-from-mqttjs'],
        ),
      },
      {
        text: 'Program',
        items: items(
          ['Broker API', '/api/broker'],
          ['Client API', '/api/client'],
          ['Architecture', '/ARCHITECTURE'],
          ['Conformance', '/conformance'],
          ['Testing', '/testing'],
          ['Simulation', '/simulation'],
        ),
      },
    ],
    outline: [2, 3],
  },
}
