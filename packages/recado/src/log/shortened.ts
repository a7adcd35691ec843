/**
 * Text from clients inside a line of the log, bounded, so that a long one does not push what follows it, such as an address, behind the end of the line.
 *
 * The words of both vocabularies and `observe.ts` use it. The invariant: of a name that is cut, the end is an ellipsis; a short one is unchanged.
 */

/** Longest Client Identifier and user name of a line, in characters. */
const NAME_CHARACTERS_MAX = 120
/** Longest Topic Name or Topic Filter of a line, in characters. */
const TOPIC_CHARACTERS_MAX = 240

function shortened(text: string, most: number): string {
  if (text.length <= most) return text
  const last = text.charCodeAt(most - 2)
  // Not in the middle of a character of two units.
  const end = last >= 0xd800 && last < 0xdc00 ? most - 2 : most - 1
  return `${text.slice(0, end)}…`
}

/** Shortens a Client Identifier or a user name. */
export const shortName = (name: string): string => shortened(name, NAME_CHARACTERS_MAX)

/** Shortens a Topic Name or a Topic Filter. */
export const shortTopic = (topic: string): string => shortened(topic, TOPIC_CHARACTERS_MAX)
