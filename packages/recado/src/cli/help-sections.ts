/** The parts of `recado pub --help` and `recado sub --help` that are the same. */

export const connectionHelp = `Connection:
  -h, --host HOST             server to connect to (default: localhost)
  -p, --port PORT             its port (default: 1883, with TLS 8883)
      --unix PATH             connect to a unix-domain socket instead
  -L, --url URL               all at once: mqtt(s)://[user[:password]@]host[:port]/topic
  -A ADDRESS                  local address to connect from
  -k, --keepalive SECONDS     longest silence on the connection, 5 to 65535 (default: 60)
      --nodelay               send small packets at once (TCP_NODELAY)
  -V, --protocol-version V    mqttv5, mqttv311 or mqttv31, or 5, 311, 31 (default: 311)

Who we are:
  -i, --id ID                 Client Identifier (default: the server makes one)
  -I, --id-prefix PREFIX      Client Identifier made of this and the process id
  -u, --username NAME
  -P, --pw PASSWORD           better in RECADO_PASSWORD: others can read command lines
  -c, --disable-clean-session resume the session and keep it; needs -i
  -x SECONDS                  how long the server keeps the session after the end, -1 for ever (implies -V 5)

Will, which the server publishes when the connection breaks:
      --will-topic TOPIC
      --will-payload TEXT     (default: empty)
      --will-qos QOS          (default: 0)
      --will-retain

TLS:
      --cafile FILE           trusted certificate authorities (PEM); turns TLS on, as does --capath
      --capath FOLDER         folder of such files
      --tls-use-os-certs      trust the authorities of the operating system; turns TLS on
      --cert FILE --key FILE  our own certificate and its key (PEM)
      --insecure              do not compare the certificate with the host name: only for tests
      --tls-version V         tlsv1.3, tlsv1.2 or tlsv1.1 (default: the best that both sides have)
      --tls-alpn PROTOCOL
      --ciphers LIST          as OpenSSL writes them
      --psk HEX --psk-identity ID   pre-shared key instead of certificates
      --no-tls                no TLS even on port 8883
`

export const otherHelp = `Other:
  -D, --property COMMAND NAME VALUE
                              a property of MQTT 5 (implies -V 5), for example
                              -D connect user-property key value; commands are connect, publish, subscribe,
                              unsubscribe, disconnect and will
  -M COUNT                    QoS 1 and 2 messages on their way at once (default: 20)
  -o FILE                     read options from FILE first, one a line
  -d, --debug                 print every packet
      --quiet                 print no errors
      --help, --version

Exit code: 0; 1 for wrong arguments and unreachable servers; when the server refuses the connection, the code that it gave.
`
