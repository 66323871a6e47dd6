/**
 * Node.js reads all certificates of the file that `NODE_EXTRA_CA_CERTS` names at each start, where a network needs more of them
 * than Node.js has. That takes twice as long as the rest of its start, and the tests start hundreds. Only npm connects to a server
 * with a certificate.
 */

const kept = "DATAGRAM_NPM_CA_CERTS";

/** Removes the certificates from the environment of the programs that this process starts. */
export function dropCertificates(): void {
  const file = process.env.NODE_EXTRA_CA_CERTS;
  if (file === undefined) return;
  process.env[kept] = file;
  delete process.env.NODE_EXTRA_CA_CERTS;
}

/** An environment with the certificates, for npm. */
export function withCertificates(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { [kept]: file, ...rest } = env;
  return file === undefined ? rest : { ...rest, NODE_EXTRA_CA_CERTS: file };
}
