/**
 * Options about WebSocket and HTTP on listeners. `schema.ts` joins them with the others, `transports.ts` makes a
 * configuration from them.
 */
import { type Option, option, UINT16_MAX } from './option.ts'

export const webSocketOptions: readonly Option[] = [
  option('websockets', 'listener')(
    'http_dir',
    'text',
    '',
    'Serves the files of this folder by HTTP (GET), `index.html` for a path that ends in a slash. With `protocol http_api` to whoever may read the path; with `protocol websockets` to everybody, beside MQTT over WebSocket on the same port. What a symbolic link leads to outside of it is not served, nor is what has a dot in front of its name or of that of a folder on the way (`.env`, `.git/`).',
  ),
  option('websockets', 'global')(
    'http_api_role',
    'text',
    '',
    'Our own, not in Mosquitto: gives a user a role in the HTTP API (docs/api/http.md): `http_api_role operator ada`. A `viewer` looks at everything but payloads, an `operator` sees messages, publishes, disconnects and bans clients, an `admin` makes tokens, reloads and changes what is logged. Who has no role gets nothing but the three paths of Mosquitto. Without a login somebody on this machine (127.0.0.1, ::1) is a viewer where `allow_anonymous` is true.',
    { repeatable: true },
  ),
  option('websockets', 'global')(
    'http_api_token_file',
    'text',
    '',
    'Our own, not in Mosquitto: file of the bearer tokens that `recado token create` makes for the HTTP API; it has their hashes. Default: `api-tokens.json` in the data folder; none when nothing is kept.',
  ),
  option('websockets', 'global')(
    'http_api_decisions',
    'integer',
    '10000',
    'Our own, not in Mosquitto: number of dropped and refused messages that the HTTP API remembers for `/api/v1/why` and `/api/v1/drops`, in fixed memory (about 200 bytes each). 0: none, and nothing is observed for it. Read at the start.',
    { unit: 'messages', min: 0, max: 1_000_000 },
  ),
  option('websockets', 'global')(
    'otlp_endpoint',
    'text',
    '',
    'Our own, not in Mosquitto: address of an OpenTelemetry receiver by OTLP over HTTP, as in `http://127.0.0.1:4318`: the metrics of `/metrics` are sent to `/v1/metrics` below it. It needs packages of OpenTelemetry; without them the log names the command that installs them. Headers and certificates come from the environment (`OTEL_EXPORTER_OTLP_HEADERS`, …). Default: nothing is sent.',
  ),
  option('websockets', 'global')(
    'otlp_interval',
    'integer',
    '60',
    'Our own, not in Mosquitto: time from one export of the metrics to the next.',
    { unit: 'seconds', min: 1, max: 3_600 },
  ),
  option('websockets', 'global')(
    'otlp_traces',
    'boolean',
    'false',
    'Our own, not in Mosquitto: with `otlp_endpoint`, sends spans of messages that carry a W3C trace context (user property `traceparent`) whose trace is recorded: one for the way through the broker, one for each subscriber. The properties themselves go on to subscribers unaltered in any case.',
  ),
  option('websockets', 'listener')(
    'websockets_proxy',
    'text',
    '',
    'Our own, not in Mosquitto: address of a proxy in front of this WebSocket listener that is believed when it says whose connection it is: `10.0.0.5`, `10.0.0.0/8`, `fd00::/8`, or `unix` for all that comes through a unix socket. Logs, limits for each address and webhooks then see the client: the right-most address that is no proxy.',
    { repeatable: true },
  ),
  option('websockets', 'listener')(
    'websockets_proxy_header',
    'choice',
    'x-forwarded-for',
    'Our own: the header that these proxies write. Only this one is looked at, for a proxy passes on what it does not write itself.',
    { choices: ['x-forwarded-for', 'x-real-ip', 'forwarded'] },
  ),
  option('websockets', 'listener')(
    'websockets_origin',
    'text',
    '',
    'Takes only WebSockets from pages of this origin, as in `https://example.com`; others, and clients that are no pages, are refused.',
    {
      repeatable: true,
      since: '2.1',
      belowListener: true,
    },
  ),
  option('websockets', 'global')('websockets_log_level', 'text', '0', 'Log level of libwebsockets.', {
    instead: 'There is no libwebsockets here.',
  }),
  option('websockets', 'global')(
    'websockets_headers_size',
    'integer',
    '8192',
    'Longest HTTP request that asks for a WebSocket. 0: the default.',
    {
      unit: 'bytes',
      min: 0,
      max: UINT16_MAX,
      aliases: ['packet_buffer_size'],
    },
  ),
]
