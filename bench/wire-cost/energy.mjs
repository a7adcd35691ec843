/**
 * Energy of a radio for one wake-up, by the model and the measurements of J. Huang et al., "A Close Examination of
 * Performance and Power Characteristics of 4G LTE Networks", MobiSys 2012 (tables 3 and 4): the radio is promoted, works
 * for as long as the exchange takes, and stays in its tail before it sleeps again.
 *
 * The exchange takes one round trip for each pair of packets that wait for each other, at the base power, and the bytes
 * at the rate's power on top. Units: milliwatts, milliseconds, millijoules; `up` and `down` are mW per Mbit/s.
 */
export const RADIOS = {
  'Wi-Fi': {
    promotionMs: 79.1,
    promotionMw: 124.4,
    tailMs: 238.1,
    tailMw: 119.3,
    up: 283.17,
    down: 137.01,
    base: 132.86,
    roundTripMs: 30,
  },
  '3G': {
    promotionMs: 582.1,
    promotionMw: 659.4,
    tailMs: 8088.2,
    tailMw: 601.3,
    up: 868.98,
    down: 122.12,
    base: 817.88,
    roundTripMs: 120,
  },
  LTE: {
    promotionMs: 260.1,
    promotionMw: 1210.7,
    tailMs: 11576,
    tailMw: 1060,
    up: 438.39,
    down: 51.97,
    base: 1288.04,
    roundTripMs: 70,
  },
}

/** Returns millijoules for one exchange that begins with a sleeping radio. */
export function wakeUp(radio, { packets, bytesOut, bytesIn }) {
  const roundTrips = Math.ceil(packets / 2)
  const bits = (bytes) => (bytes * 8) / 1e6 // megabits
  return (
    (radio.promotionMw * radio.promotionMs +
      radio.base * radio.roundTripMs * roundTrips +
      radio.tailMw * radio.tailMs) /
      1000 +
    // mW per Mbit/s times Mbit is millijoules, whatever the rate is.
    radio.up * bits(bytesOut) +
    radio.down * bits(bytesIn)
  )
}
