/**
 * Properties of a message in a Topic Name of Azure IoT Hub: `name=value&name=value`, encoded as in a URL.
 *
 * `azure-iot-hub.ts` uses it. Invariant: what `encodePropertyBag` makes `parsePropertyBag` reads again; whatever a hub
 * sends is read without an error, and bounded.
 */
const PROPERTIES_MAX = 100

/** A slash and the wildcards of MQTT must not stand in it as they are. */
const encode = (text: string): string => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${hex(c)}`)
const hex = (c: string): string => c.charCodeAt(0).toString(16).toUpperCase()

export function encodePropertyBag(properties: readonly (readonly [name: string, value: string])[]): string {
  return properties.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&')
}

export function parsePropertyBag(text: string): (readonly [name: string, value: string])[] {
  // A leading ? is there in topics of twins and methods.
  const parts = text.replace(/^\?/, '').replace(/\/$/, '').split('&').slice(0, PROPERTIES_MAX)
  return parts.flatMap((part): (readonly [string, string])[] => {
    const at = part.indexOf('=')
    const name = decode(at < 0 ? part : part.slice(0, at))
    return name === '' ? [] : [[name, at < 0 ? '' : decode(part.slice(at + 1))]]
  })
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
