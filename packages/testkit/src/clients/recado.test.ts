/** The client library's interoperability suite, which also runs on Debian's mosquitto, on our own broker in this process. */
import { clientSuite } from '@recado/client/testing'
import { startRecado } from './recado.ts'

clientSuite('recado', startRecado)
