/**
 * Sentences of `why` in Spanish, by their English templates (`packages/admin/src/why`).
 *
 * `sayings.ts` loads it when the page is in Spanish. A test compares the keys with the templates in the source.
 */
export const whyInSpanish: Readonly<Record<string, string>> = {
  'Nothing is remembered of {0} at about {1}; what follows is how it is now.':
    'No se recuerda nada de {0} hacia las {1}; lo que sigue es lo que vale ahora.',
  '{0} was not sent it: {1}{2}, {3}{4}.': 'No se envió a {0}: {1}{2}, {3}{4}.',
  'Nobody was sent it: {0}{1}, {2}.': 'No se envió a nadie: {0}{1}, {2}.',
  'its publisher': 'quien lo publicó',
  '{0} was not sent it: {1}, {2}.': 'No se envió a {0}: {1}, {2}.',
  '; so it has been for {0} messages since {1}': '; así ha sido con {0} mensajes desde las {1}',
  '{0} was not sent it: its subscription to {1} was refused ({2}), {3}.':
    'No se envió a {0}: se rechazó su suscripción a {1} ({2}), {3}.',
  '{0} is a Shared Subscription, which gets no retained messages':
    '{0} es una suscripción compartida, que no recibe mensajes retenidos',
  'it had the subscription {0} already, and asked for retained messages of new ones only (Retain Handling 1)':
    'ya tenía la suscripción {0}, y pidió mensajes retenidos solo para las nuevas (Retain Handling 1)',
  'its subscription {0} asked for no retained messages (Retain Handling 2)':
    'su suscripción {0} no pidió mensajes retenidos (Retain Handling 2)',
  '{0} was not sent the retained message: {1}, {2}.': 'No se envió a {0} el mensaje retenido: {1}, {2}.',
  '{0} was not sent it: {1} is a Shared Subscription, and it was the turn of {2}, {3}.':
    'No se envió a {0}: {1} es una suscripción compartida, y le tocaba a {2}, {3}.',
  'it has waited in its queue, and its Message Expiry Interval is over':
    'ha esperado en su cola y su Message Expiry Interval ha terminado',
  '{0} will not be sent it: {1}.': 'No se enviará a {0}: {1}.',
  '{0} is not sent it: {1}.': 'No se envía a {0}: {1}.',
  'it has no subscriptions': 'no tiene suscripciones',
  'none of its {0} matches the topic': 'de {0}, ninguna concuerda con el tema',
  '; {0}': '; {0}',
  '{0} is not sent it: {1}{2}.': 'No se envía a {0}: {1}{2}.',
  '{0} ({1})': '{0} ({1})',
  '{0}{1}': '{0}{1}',
  ' ({0})': ' ({0})',
  'nothing keeps it from it': 'nada se lo impide',
  'it waits in its queue': 'espera en su cola',
  '{0} is a Shared Subscription, and it is the turn of another member':
    '{0} es una suscripción compartida, y le toca a otro miembro',
  'the message has QoS 0, or its subscription has, and the client is not connected':
    'el mensaje o su suscripción tiene QoS 0, y el cliente no está conectado',
  'the message has QoS 0, and the client does not read fast enough':
    'el mensaje tiene QoS 0, y el cliente no lee con bastante rapidez',
  'the queue of its session is full': 'la cola de su sesión está llena',
  'it published the message itself, and its subscription {0} has No Local':
    'publicó el mensaje él mismo, y su suscripción {0} tiene No Local',
  'it may not receive messages of this topic': 'no puede recibir mensajes de este tema',
  'Nobody subscribes to {0}.': 'Nadie está suscrito a {0}.',
  'No message on this topic is remembered.': 'No se recuerda ningún mensaje en este tema.',
  'The last message was published {0} by {1}.': 'El último mensaje lo publicó {1}, {0}.',
  'the broker': 'el bróker',
  '{0} Nothing keeps messages on {1} from its {2}.': '{0} Nada impide que los mensajes de {1} lleguen a: {2}.',
  'Nothing keeps messages on {0} from {1}.': 'Nada impide que los mensajes de {0} lleguen a {1}.',
  '{0} was sent and not acknowledged yet.': '{0} se envió y aún no está confirmado.',
  '{0} were sent and not acknowledged yet.': '{0} se enviaron y aún no están confirmados.',
  '{0} does not match topics that begin with $: a wildcard at the beginning never does':
    '{0} no concuerda con temas que empiezan por $: un comodín al principio nunca lo hace',
  '{0} has {1}, the topic {2}: + stands for one level, {3}/# would match':
    '{0} tiene {1}, el tema {2}: + vale por un nivel, {3}/# concordaría',
  '{0} has {1}, the topic only {2}': '{0} tiene {1}, el tema solo {2}',
  '{0} has "{1}" where the topic has "{2}": upper and lower case differ':
    '{0} tiene «{1}» donde el tema tiene «{2}»: mayúsculas y minúsculas son distintas',
  '{0} has "{1}" where the topic has "{2}": mind slashes and blanks':
    '{0} tiene «{1}» donde el tema tiene «{2}»: atención a las barras y los espacios',
  '{0} has "{1}" in level {2}, the topic "{3}"': '{0} tiene «{1}» en el nivel {2}, el tema «{3}»',
  'it is not connected and has no session, so nothing waits for it':
    'no está conectado y no tiene sesión, así que nada le espera',
  '{0} may have been sent it {1}': 'Puede que se enviara a {0} {1}',
  '{0} is not sent it now: {1}{2}. Whether it was connected when the last message was published, {3}, is not remembered any more.':
    'Ahora no se envía a {0}: {1}{2}. Ya no se recuerda si estaba conectado cuando se publicó el último mensaje, {3}.',
  '{0} was not sent it: {1}{2}.': 'No se envió a {0}: {1}{2}.',
  'it disconnected: {0}, {1}': 'se desconectó: {0}, {1}',
  'it was refused: {0}, {1}': 'fue rechazado: {0}, {1}',
  'its session ended: {0}, {1}': 'terminó su sesión: {0}, {1}',
  'before it left at {0} ({1})': 'antes de que se fuera a las {0} ({1})',
  'It is not connected now, and which subscriptions it had is not remembered: they ended with its session.':
    'Ahora no está conectado, y no se recuerda qué suscripciones tenía: terminaron con su sesión.',
  'nothing that is remembered says that it was dropped, withheld or refused':
    'nada de lo que se recuerda dice que se descartara, retuviera o rechazara',
  '{0}: that was after the last message was published, {1}, and {2}. Since when it had been connected is not remembered. {3}':
    '{0}: eso fue después de publicarse el último mensaje, {1}, y {2}. No se recuerda desde cuándo estaba conectado. {3}',
  '{0}: it was connected when the last message was published, {1}, and {2}. {3}':
    '{0}: estaba conectado cuando se publicó el último mensaje, {1}, y {2}. {3}',
  'it connected at {0}, after the last message was published, {1}':
    'se conectó a las {0}, después de publicarse el último mensaje, {1}',
  '{0}: {1}, but its session was there before, and {2}. {3}': '{0}: {1}, pero su sesión existía antes, y {2}. {3}',
  '{0}: {1}, but that was to be retained, and {2}. {3}': '{0}: {1}, pero ese debía retenerse, y {2}. {3}',
  'It connected at {0}, after that message: whether the message went to it is not known.':
    'Se conectó a las {0}, después de ese mensaje: no se sabe si el mensaje le llegó.',
  'Its subscription {0} was made or renewed after that message, or when is not remembered: whether the message went to it is not known.':
    'Su suscripción {0} se hizo o renovó después de ese mensaje, o no se recuerda cuándo: no se sabe si el mensaje le llegó.',
  'The last message went to it as far as the broker knows: it was written to its connection, and {0}.':
    'El último mensaje le llegó, que el bróker sepa: se escribió en su conexión, y {0}.',
  'whether the client has got it is not known: QoS 0 is not acknowledged':
    'no se sabe si el cliente lo ha recibido: QoS 0 no se confirma',
  'the client has not acknowledged all messages on this topic yet (QoS {0}: {1} is awaited)':
    'el cliente aún no ha confirmado todos los mensajes de este tema (QoS {0}: se espera {1})',
  'whether the client has acknowledged it is not known': 'no se sabe si el cliente lo ha confirmado',
  'the client has acknowledged it (QoS {0})': 'el cliente lo ha confirmado (QoS {0})',
  '{0} waits': '{0} espera',
  '{0} wait': '{0} esperan',
  '{0} for it.': '{0} para él.',
  ' (the oldest {0} were looked at)': ' (se miraron los {0} más antiguos)',
  '{0} in its queue has expired and will not be sent{1}.': '{0} de su cola ha caducado y no se enviará{1}.',
  '{0} in its queue have expired and will not be sent{1}.': '{0} de su cola han caducado y no se enviarán{1}.',
  '{0} {1}': '{0} {1}',
  '{0} in it, and {1} allows no more': '{0} en ella, y {1} no permite más',
  '{0} in it, and {1} allows {2}': '{0} en ella, y {1} permite {2}',
  'at most {0} may wait': 'como máximo pueden esperar {0}',
  '{0}; for a client without User Name, at most {1}': '{0}; para un cliente sin nombre de usuario, como máximo {1}',
  '{0} and {1}': '{0} y {1}',
  '{0} message': '{0} mensaje',
  '{0} messages': '{0} mensajes',
  '{0} byte': '{0} byte',
  '{0} bytes': '{0} bytes',
  '{0} subscription': '{0} suscripción',
  '{0} subscriptions': '{0} suscripciones',
  '{0} level': '{0} nivel',
  '{0} levels': '{0} niveles',
  "its session's queue was full ({0})": 'la cola de su sesión estaba llena ({0})',
  'all queues together were full (max_stored_bytes, max_memory_queued_bytes)':
    'todas las colas juntas estaban llenas (max_stored_bytes, max_memory_queued_bytes)',
  'the message had QoS 0, and the client did not read fast enough: QoS 0 does not wait':
    'el mensaje tenía QoS 0, y el cliente no leía con bastante rapidez: QoS 0 no espera',
  'the message was larger than the Maximum Packet Size that the client has asked for':
    'el mensaje era mayor que el Maximum Packet Size que pidió el cliente',
  'its topic or a property has a control character (allow_control_characters)':
    'su tema o una propiedad tiene un carácter de control (allow_control_characters)',
  'its Message Expiry Interval was over before it could be sent':
    'su Message Expiry Interval terminó antes de poder enviarse',
  'its session ended while the message waited in it': 'su sesión terminó mientras el mensaje esperaba en ella',
  'an operator has emptied the queue of its session': 'un operador ha vaciado la cola de su sesión',
  'the message had QoS 0, and the client was not connected: QoS 0 does not wait':
    'el mensaje tenía QoS 0, y el cliente no estaba conectado: QoS 0 no espera',
  'the store did not write: look at the disk': 'el almacén no escribía: mire el disco',
  'memory was short (memory_limit)': 'faltaba memoria (memory_limit)',
  'it was dropped ({0})': 'se descartó ({0})',
  '{0} may not publish to this topic': '{0} no puede publicar en este tema',
  'the payload of {0} was larger than the broker takes (message_size_limit)':
    'el contenido de {0} era mayor de lo que acepta el bróker (message_size_limit)',
  'its topic was longer or had more levels than the broker takes':
    'su tema era más largo o tenía más niveles de los que acepta el bróker',
  'the queue of a subscriber was full, and queue_overflow is reject: the publisher was told 0x97':
    'la cola de un suscriptor estaba llena, y queue_overflow es reject: al que publicó se le dijo 0x97',
  'all queues together were full: the publisher was told 0x97':
    'todas las colas juntas estaban llenas: al que publicó se le dijo 0x97',
  'it was not retained: there are as many retained messages as there may be':
    'no se retuvo: ya hay tantos mensajes retenidos como puede haber',
  'it was to wait ($delayed), and there are as many that wait as there may be, or the delay is too long':
    'debía esperar ($delayed), y ya esperan tantos como pueden, o el plazo es demasiado largo',
  'the hook transform of the program has left it out': 'la función transform del programa lo ha dejado fuera',
  'it came back by a bridge: it had been here before': 'volvió por un puente: ya había estado aquí',
  'its Message Expiry Interval was over': 'su Message Expiry Interval había terminado',
}
