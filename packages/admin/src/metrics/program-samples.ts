/**
 * Numbers of the program around the broker, for `/metrics`: readiness, disk, certificates, bridges.
 *
 * `GET /metrics` calls it. Invariant: the number of series is bounded, whatever a configuration has.
 */
import type { AdminHost } from '../host.ts'
import { type Sample, SERIES_MAX } from './open-metrics.ts'

/** Reads the numbers; what the program does not say is left out. */
export async function programSamples(host: AdminHost): Promise<Sample[]> {
  const problems = host.problems?.() ?? []
  const disk = (await host.disk?.()) ?? null
  const listeners = host.listeners?.().slice(0, SERIES_MAX) ?? []
  const bridges = host.bridges?.().slice(0, SERIES_MAX) ?? []
  const gauge = (name: string, help: string, value: number, labels: Record<string, string> = {}): Sample => ({
    ...{ name, kind: 'gauge', help, value, labels },
  })
  const isReady = problems.length === 0 ? 1 : 0
  return [
    gauge('recado_ready', '1 when the broker can be used, as /readyz says; otherwise 0.', isReady),
    ...(disk === null
      ? []
      : [
          gauge('recado_disk_free_bytes', 'Free space where the data file is.', disk.freeBytes),
          gauge('recado_store_file_bytes', 'Size of the data file.', disk.fileBytes),
        ]),
    ...listeners.flatMap(({ name, certificateExpiresAtMs }) =>
      certificateExpiresAtMs === null
        ? []
        : [
            gauge(
              'recado_listener_certificate_end_seconds',
              'End of the certificate in the file of the listener, since the Unix epoch.',
              certificateExpiresAtMs / 1_000,
              { listener: name },
            ),
          ],
    ),
    ...bridges.map(({ name, state }) =>
      gauge('recado_bridge_connected', '1 while the bridge is connected; otherwise 0.', state === 'connected' ? 1 : 0, {
        bridge: name,
      }),
    ),
    ...bridges.map(({ name, lagSeconds }) =>
      gauge('recado_bridge_lag_seconds', 'Time since the remote broker had all messages; 0 while it has.', lagSeconds, {
        bridge: name,
      }),
    ),
    ...bridges.map(({ name, queuedMessages }) =>
      gauge('recado_bridge_queued_messages', 'Messages that wait for the bridge.', queuedMessages, { bridge: name }),
    ),
  ]
}
