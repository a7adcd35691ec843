/* docs/metrics.md: every counter and gauge, from the table of the broker. */

/** Text of the page. @param {Record<string, { kind: string, unit: string, help: string }>} table `metricTable` */
export function metricsPage(table) {
  const rows = (kind) =>
    Object.entries(table)
      .filter(([, metric]) => metric.kind === kind)
      .map(([name, { unit, help }]) => `| \`${name}\` | ${unit} | ${help.replaceAll('|', '\\|')} |`)
      .join('\n')
  return `<!-- Generated from packages/broker/src by "npm run docs" (metricTable). Do not edit. -->

# Metrics

\`broker.metrics()\` returns all of them by name, in no time, however many clients there are. \`metricTable\` has the kind,
unit and meaning of each for programs.

A message that does not reach a subscriber counts once, under its reason: \`dropped.REASON\`. Nothing is dropped without
being counted. The names in brackets are limits ([configuration](configuration.md) has the options for them).

## Counters

They only ever grow, and begin at 0 when the broker starts.

| name | unit | meaning |
|---|---|---|
${rows('counter')}

## Gauges

| name | unit | meaning |
|---|---|---|
${rows('gauge')}
`
}
