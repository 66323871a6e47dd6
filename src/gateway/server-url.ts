/**
 * Removes the user and the password from the URL of a server, for texts. Also from a text that is no valid URL.
 *
 * @param instead what stands in their place.
 */
export function withoutUser(url: string, instead = ""): string {
  return url.replace(/\/\/.*@/, `//${instead}`);
}
