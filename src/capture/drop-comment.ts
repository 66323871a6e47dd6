/** How the comment of a packet that a relay or a simulated link dropped starts. */
const prefix = "dropped: ";

/** The comment of a packet that was dropped. @param cause one line. */
export function dropComment(cause: string): string {
  return `${prefix}${cause}`;
}

/** Why a packet was dropped, by its comment; `undefined` if the comment does not say that. */
export function dropCause(comment: string): string | undefined {
  if (!comment.startsWith(prefix)) return undefined;
  const end = comment.indexOf("\n");
  return comment.slice(prefix.length, end < 0 ? undefined : end);
}
