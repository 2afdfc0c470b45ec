/**
 * The site of docs/: `npm run docs` stages the pages in .cache/site (with the API reference and the project's own pages beside
 * them) and builds from there. Nothing on the site is asked of another host.
 */
import { readFileSync } from 'node:fs'
import { defineConfig } from 'vitepress'
import { slugOf } from '../../scripts/reference/markdown.mjs'

const { version, description } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

/** In the page itself: the site asks nobody for anything. */
const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="5.5" fill="none" stroke="#3451b2" stroke-width="3" stroke-dasharray="7 1.6"/></svg>'

const page = (text, link) => ({ text, link })

const GUIDES = [
  page('Getting started', '/guide/getting-started'),
  page('Concepts', '/guide/concepts'),
  page('Contracts of your own', '/guide/contracts'),
  page('Writing plugins', '/guide/plugins'),
  page('Testing plugins', '/guide/testing'),
  page('Untrusted plugins', '/guide/untrusted'),
  page('Operating', '/guide/operating'),
  page('Whole servers to copy', '/guide/servers'),
]
const SYSTEMS = [
  page('HTTP', '/http'),
  page('gRPC', '/grpc'),
  page('MQTT', '/mqtt'),
  page('Brokers on Redis', '/cluster'),
  page('Connections', '/connection'),
  page('ExHook', '/exhook'),
  page('hookring serve', '/serve'),
  page('C ABI', '/c-abi'),
]
const DEPLOYMENT = [
  page('Containers', '/deployment/containers'),
  page('Bundlers, package managers', '/deployment/bundlers'),
  page('Processes, shutdown', '/deployment/processes'),
  page('APM', '/deployment/apm'),
]
const REFERENCE = [
  page('Options', '/reference/options'),
  page('Options of adapters', '/reference/adapter-options'),
  page('Contracts and schemas', '/reference/contracts'),
  page('Contracts that ship', '/reference/shipped-contracts'),
  page('Verdicts and failures', '/reference/verdicts'),
  page('Plugins that ship', '/reference/plugins'),
  page('Error codes', '/reference/errors'),
  page('Metrics', '/reference/metrics'),
  page('Events', '/reference/events'),
  page('Tracing', '/reference/tracing'),
  page('Command line', '/reference/cli'),
  page('Doors', '/reference/doors'),
]
const API = JSON.parse(readFileSync(new URL('../../.cache/site/api.json', import.meta.url), 'utf8'))
const EVIDENCE = [
  page('Benchmarks', '/benchmarks'),
  page('Evidence', '/evidence'),
  page('Comparison', '/comparison'),
  page('Security', '/project/security'),
  page('Architecture', '/project/architecture'),
  page('Changelog', '/project/changelog'),
  page('Contributing', '/project/contributing'),
]

export default defineConfig({
  title: 'hookring',
  description,
  lang: 'en',
  srcDir: '../.cache/site',
  cleanUrls: true,
  head: [['link', { rel: 'icon', href: `data:image/svg+xml,${encodeURIComponent(ICON)}` }]],
  // Headings have the anchors that code hosts give them, so that links hold in both places.
  markdown: { anchor: { slugify: slugOf } },
  themeConfig: {
    outline: [2, 3],
    search: { provider: 'local' },
    nav: [
      page('Guide', '/guide/getting-started'),
      page('Systems', '/http'),
      page('Reference', '/reference/options'),
      page('Evidence', '/benchmarks'),
      { text: `v${version}`, link: '/project/changelog' },
    ],
    sidebar: [
      { text: 'Guides', items: GUIDES },
      { text: 'Systems', items: SYSTEMS },
      { text: 'Deployment', items: DEPLOYMENT, collapsed: true },
      { text: 'Reference', items: REFERENCE, collapsed: false },
      { text: 'API', items: API, collapsed: true },
      { text: 'Evidence', items: EVIDENCE },
    ],
    docFooter: { prev: 'Before', next: 'Next' },
  },
})
