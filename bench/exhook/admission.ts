/**
 * The question of case `exhook`: may this client connect? One user in 64 may not. The same events and the same verdicts for
 * all contenders. Used on the host's thread, in lanes, and in the provider's process.
 */

/** An event of exhook@3's onClientAuthenticate, which is its request on the wire as well. */
export type AdmissionEvent = ReturnType<typeof eventOf>

const EVENT_COUNT = 1024
const META = { node: 'bench@127.0.0.1', version: '5.9.0', sysdescr: 'bench', clusterName: 'bench' }

export function isAdmitted(username: string): boolean {
  return !username.startsWith('mallory')
}

/** Each of a client of its own: order per client holds nobody up. */
export function admissionEvents(): { events: AdmissionEvent[]; rejects: boolean[] } {
  const events = Array.from({ length: EVENT_COUNT }, (_, index) => eventOf(index))
  return { events, rejects: events.map(({ clientinfo }) => !isAdmitted(clientinfo.username)) }
}

function eventOf(index: number) {
  return {
    clientinfo: {
      node: META.node,
      clientid: `device-${index}`,
      username: index % 64 === 63 ? `mallory-${index}` : `user-${index}`,
      password: 'correct horse battery staple',
      peerhost: '10.0.0.7',
      sockport: 1883,
      protocol: 'mqtt',
      mountpoint: '',
      isSuperuser: false,
      anonymous: false,
      cn: '',
      dn: '',
      peerport: 50_000 + index,
    },
    result: true,
    meta: META,
  }
}
