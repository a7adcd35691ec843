/**
 * The scenarios of `npm run bench`: one table of names, generator arguments and goals. Read by run.mjs and chart.mjs.
 *
 * `load` are arguments of mqload, `recado` those of `recado bench` (for features that mqload lacks: a rate of
 * connecting, Shared Subscriptions). `kind` decides the comparison: `rate` saturates the broker, `paced` sends at a
 * fixed rate so that CPU per message and latency mean something, `connect` opens connections and holds them, `offline`
 * fills a queue and empties it. `warmup` and `seconds` are requirements of a scenario that override the command line.
 * Goals are ratios to Debian's Mosquitto: `rate` at least, `cpu`, `p50` and `p99` at most (`GOALS` in results.mjs has
 * the others).
 *
 * The names with capital K are those of the Open MQTT Benchmark Suite (publishers, subscribers, topics, rate), with 24
 * byte of payload instead of 16 (mqload's least), and seconds instead of half an hour.
 */

// The generator looks at its sockets every 2 ms: pipelined traffic.
const PIPELINED = '--poll-us 2000'

const rate = (load, more = {}) => ({ kind: 'rate', load, ...more })
// With so few messages the optimizing compiler takes seconds: on the broker's own CPU, and unlike a normal day.
const PACED_WARM_UP_SECONDS = 6
const paced = (load, more = {}) => ({ kind: 'paced', load, warmup: PACED_WARM_UP_SECONDS, ...more })

export const scenarios = {
  'pairs-q0': rate(`--scenario pairs --pubs 50 --subs 50 --window 64 ${PIPELINED}`, {
    goal: { rate: 3.5, rateToAedes: 13, rateToNode24: 0.7 },
  }),
  'pairs-q1': rate(`--scenario pairs --pubs 50 --subs 50 --qos 1 --window 64 --inflight 32 ${PIPELINED}`, {
    goal: { rate: 3.5 },
  }),
  'pairs-q2': rate(`--scenario pairs --pubs 50 --subs 50 --qos 2 --window 64 --inflight 32 ${PIPELINED}`, {
    goal: { rate: 3.5 },
  }),
  'pairs-q0-16k': rate(`--scenario pairs --pubs 50 --subs 50 --size 16384 --window 16 ${PIPELINED}`, {
    goal: { rate: 1 },
  }),
  // Large payloads, each to one subscriber.
  'pairs-q0-64k': rate('--scenario pairs --pubs 10 --subs 10 --size 65536 --window 4'),
  'fanin-q0': rate(`--scenario fanin --pubs 50 --subs 1 --window 64 ${PIPELINED}`, { goal: { cpu: 1 / 3 } }),
  'fanin-q1': rate(`--scenario fanin --pubs 50 --subs 1 --qos 1 --window 64 --inflight 32 ${PIPELINED}`),
  'fanout-q0': rate(`--scenario fanout --pubs 1 --subs 500 --window 32 ${PIPELINED}`, { goal: { cpu: 1 / 5 } }),
  'fanout-q1': rate(`--scenario fanout --pubs 1 --subs 500 --qos 1 --window 32 --inflight 32 ${PIPELINED}`, {
    goal: { cpu: 1 / 4 },
  }),
  'pubonly-q0': rate('--scenario pubonly --pubs 50 --window 64'),
  'pubonly-q1': rate(`--scenario pubonly --pubs 50 --qos 1 --inflight 32 ${PIPELINED}`),
  // MQTT 5.0 with expiry, content type and three User Properties.
  'props-q1': rate(
    `--scenario pairs --pubs 50 --subs 50 --qos 1 --mqtt 5 --props 1 --window 64 --inflight 32 ${PIPELINED}`,
    { isVersion5: true },
  ),
  // A million topics, each message its own.
  'topics-q0': rate(`--scenario fanin --pubs 10 --subs 1 --topics 1000000 --window 512 ${PIPELINED}`),
  // Every delivery is answered at once.
  'pairs-q0-react': rate('--scenario pairs --pubs 50 --subs 50 --window 64'),
  'pairs-q1-react': rate('--scenario pairs --pubs 50 --subs 50 --qos 1 --window 64 --inflight 32'),
  // One message at a time on each connection: every message its own read and write.
  'pairs-q0-w1': rate('--scenario pairs --pubs 50 --subs 50 --window 1', { goal: { cpu: 1 } }),
  'pairs-q1-w1': rate('--scenario pairs --pubs 50 --subs 50 --qos 1 --window 1 --inflight 1'),
  'rate5k-q0': paced('--scenario pairs --pubs 100 --subs 100 --rate 5000', { goal: { p50: 1.3, p99: 2 } }),
  'rate5k-q1': paced('--scenario pairs --pubs 100 --subs 100 --qos 1 --rate 5000', { goal: { p50: 1.3, p99: 2 } }),
  'sparse-q0': paced('--scenario pairs --pubs 500 --subs 500 --rate 5000', { goal: { cpu: 1.2 } }),
  'sparse-q1': paced('--scenario pairs --pubs 500 --subs 500 --qos 1 --rate 5000'),
  // Subscribers with persistent sessions, online.
  'pairs-q1-persist': rate(
    `--scenario pairs --pubs 50 --subs 50 --qos 1 --clean 0 --window 64 --inflight 32 ${PIPELINED}`,
    { durable: true },
  ),
  'offline-q1': {
    kind: 'offline',
    load: '--scenario offline --pubs 10 --subs 1 --qos 1 --messages 100000 --inflight 32 --tag 7',
    durable: true,
  },
  'conn-10k': { kind: 'connect', load: '--scenario connect --conns 10000 --duration 3', goal: { rate: 0.4 } },
  'conn-19k': {
    kind: 'connect',
    load: '--scenario connect --conns 19000 --duration 3',
    goal: { rate: 0.4, rateToAedes: 5, rssBytes: 8_192 },
  },
  'conn-10k-sub': { kind: 'connect', load: '--scenario connect --conns 10000 --idle-sub 1 --duration 3' },

  // Open MQTT Benchmark Suite
  'fanout-1-1K-1-1K': paced('--scenario fanout --pubs 1 --subs 1000 --topics 1 --rate 1 --qos 1 --size 24', {
    seconds: 10,
  }),
  'p2p-1K-1K-1K-1K': paced('--scenario pairs --pubs 1000 --subs 1000 --rate 1000 --qos 1 --size 24'),
  'sharedsub-1K-5-1K-1K': {
    kind: 'paced',
    warmup: PACED_WARM_UP_SECONDS,
    isVersion5: true,
    recado:
      'pair -c 1000 --subs 5 -t bench/%i --filter $share/bench/bench/# -q 1 -s 24 -I 1000 --warmup {warmup} --duration {duration}',
  },
  'conn-10K-100': { kind: 'connect', recado: 'conn -c 10000 -R 100 --duration 3', seconds: 110 },
}

for (const [name, scenario] of Object.entries(scenarios)) {
  if (scenario.isVersion5) continue
  const hasVersion5 = scenario.load?.includes('--qos') || /^(pairs|sparse)-q0/.test(name)
  if (hasVersion5 && !/[A-Z]/.test(name)) {
    const { goal: _, ...rest } = scenario
    scenarios[`${name}-v5`] = { ...rest, load: `${scenario.load} --mqtt 5`, isVersion5: true }
  }
}
scenarios['p2p-1K'] = { ...scenarios['p2p-1K-1K-1K-1K'], alias: true }

/** Names for a list of scenarios; `--runs` accepts them too. */
export const sets = {
  default: [
    ...['pairs-q0', 'pairs-q1', 'pairs-q2', 'pairs-q0-16k', 'fanin-q0', 'fanin-q1', 'fanout-q0', 'fanout-q1'],
    ...['pubonly-q0', 'pubonly-q1', 'pairs-q0-w1', 'rate5k-q0', 'rate5k-q1', 'sparse-q0', 'sparse-q1'],
    ...['pairs-q1-persist', 'offline-q1', 'conn-10k', 'conn-19k', 'props-q1', 'topics-q0'],
    ...['fanout-1-1K-1-1K', 'p2p-1K-1K-1K-1K', 'sharedsub-1K-5-1K-1K'],
  ],
  short: ['pairs-q0', 'pairs-q1', 'fanin-q0', 'fanout-q0', 'pairs-q0-w1', 'sparse-q0', 'rate5k-q0', 'conn-10k'],
  large: ['pairs-q0-16k', 'pairs-q0-64k'],
  ombs: ['conn-10K-100', 'fanout-1-1K-1-1K', 'p2p-1K-1K-1K-1K', 'sharedsub-1K-5-1K-1K'],
  all: Object.keys(scenarios).filter((name) => !scenarios[name].alias),
}

/** Scenario names of `pairs-q0,pubonly,short`, in order and once each. `pubonly` stands for `pubonly-q0` and `-q1`. */
export function scenarioNames(list) {
  const names = new Set()
  for (const word of list.split(',').filter((part) => part !== '')) {
    const found =
      sets[word] ?? (scenarios[word] ? [word] : [`${word}-q0`, `${word}-q1`].filter((name) => scenarios[name]))
    if (found.length === 0) {
      throw new Error(
        `there is no scenario "${word}"; sets: ${Object.keys(sets).join(' ')}; scenarios: ${sets.all.join(' ')}`,
      )
    }
    for (const name of found) names.add(name)
  }
  return [...names]
}
