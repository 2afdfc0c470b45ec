/** The site's menu has every page of docs/, and nothing else. Building it is `npm run docs`. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const config = await readFile(join(ROOT, 'docs/.vitepress/config.mjs'), 'utf8')
const listed = [...config.matchAll(/page\('[^']+', '\/([^']+)'\)/g)].map(([, link]) => link as string)
const pages = (await readdir(join(ROOT, 'docs'), { recursive: true }))
  .filter((name) => name.endsWith('.md') && !name.startsWith('.vitepress') && name !== 'README.md')
  .map((name) => name.replace(/\.md$/, ''))

test('every page is in the menu', () => {
  expect(pages.filter((name) => !listed.includes(name))).toEqual([])
})

test('every entry of the menu is a page', () => {
  const own = listed.filter((link) => !link.startsWith('project/'))
  expect(own.filter((link) => !pages.includes(link))).toEqual([])
  const project = listed.filter((link) => link.startsWith('project/')).map((link) => link.replace('project/', ''))
  for (const name of project) expect(existsSync(join(ROOT, `${name.toUpperCase()}.md`)), name).toBe(true)
})

test('the site asks no other host for anything: no address of one stands in its files', async () => {
  for (const file of ['config.mjs', 'theme/index.mjs', 'theme/style.css']) {
    const text = await readFile(join(ROOT, 'docs/.vitepress', file), 'utf8')
    expect(text.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:\/\/|url\(|@import/)
  }
})
