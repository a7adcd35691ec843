/** Ports of each server of the network laboratory, on its own host. */
export const PLAIN_PORT = 1883
export const TLS_PORT = 8883
