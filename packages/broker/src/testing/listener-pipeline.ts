/** Listener pipeline without a broker behind it, for the transport suites. */
import { ListenerPipeline, type PipelineOptions, type PipelinePorts } from '../listener-pipeline.ts'

/** Opens a pipeline that lets every connection in at once and counts none. */
export function openPipeline(options: PipelineOptions, accept: PipelinePorts['accept']): Promise<ListenerPipeline> {
  return ListenerPipeline.open(options, {
    connectTimeoutMs: 60_000,
    handshakesMax: 1_000,
    accept,
    failed: () => {},
    hookFailed: () => {},
    waitMs: () => 0,
    isFull: () => false,
    count: () => true,
    uncount: () => {},
  })
}
