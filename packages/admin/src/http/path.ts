/** The path of a request, as `admin.ts`, which chooses between page and API, and `flood.ts` need it. */
import type { IncomingMessage } from 'node:http'

/** Returns the path of a request, without its query and as it came: not decoded. */
export const pathOf = ({ url = '/' }: IncomingMessage): string => url.split('?', 1)[0]!
