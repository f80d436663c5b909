import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { freePort } from '../support/server/program.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { Alertmanager, DiscordStandIn } from '../support/stack/alertmanager.js';
import { readCompose } from '../support/stack/compose.js';
import { Prometheus } from '../support/stack/prometheus.js';

describeWith('prometheus', 'prometheus-alertmanager', 'amtool')(
  'an alert’s way from the server to Discord',
  { timeout: 240_000 },
  () => {
    let database: TestDatabase;
    let port: number;
    let server: TestServer;
    let discord: DiscordStandIn;
    let withWebhook: Alertmanager;
    let withoutWebhook: Alertmanager;
    let prometheus: Prometheus;

    beforeAll(async () => {
      database = await createDatabase();
      port = await freePort();
      server = await startServer({ DATABASE_URL: database.url, PORT: String(port) });
      discord = await DiscordStandIn.start();
      withWebhook = await Alertmanager.start('alertmanager-discord.yml', discord.url);
      withoutWebhook = await Alertmanager.start('alertmanager.yml');
      const stack = readCompose({ HTTP_PORT: String(port) });
      prometheus = await Prometheus.start({
        runbookUrl: String(stack.services.prometheus?.environment?.RUNBOOK_URL),
        switchyard: [port],
        alertmanager: [withWebhook.port, withoutWebhook.port],
      });
      await eventually(async () => (await prometheus.query('up{job="switchyard"}'))[0]?.value === 1);
    });

    afterAll(async () => {
      await prometheus?.stop();
      await withWebhook?.stop();
      await withoutWebhook?.stop();
      discord?.stop();
      await server?.stop();
      await database?.drop();
    });

    it('hears when the server is gone, and when it is back', async () => {
      expect(await server.stop()).toBe(0);
      const stoppedMs = Date.now();
      const firing = await eventually(() => discord.find('FIRING', 'ServiceDown'), 90_000, 'the alert');
      expect(firing.title).toContain('(critical)');
      expect(firing.text).toContain(`Switchyard does not answer at 127.0.0.1:${port}`);
      const [, page = '', section] = /Runbook: (http:\S+)#(\w+)/.exec(firing.text) ?? [];
      expect(await withoutWebhook.labelNames()).not.toContain('runbook');
      // Ten seconds are the rule's own; a message before that would be a false alarm.
      expect(firing.atMs - stoppedMs).toBeGreaterThan(10_000);
      // Without a webhook, the alert is there to be seen.
      expect(await withoutWebhook.active()).toContain('ServiceDown');

      server = await startServer({ DATABASE_URL: database.url, PORT: String(port) });
      const startedMs = Date.now();
      expect(await (await fetch(page)).text()).toContain(`id="${section}">ServiceDown<`);
      const resolved = await eventually(
        () => discord.find('RESOLVED', 'ServiceDown'),
        120_000,
        'the all-clear',
      );
      expect(resolved.text).toMatch(/over since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, after \d+/);
      await eventually(async () => !(await withoutWebhook.active()).includes('ServiceDown'), 60_000);
      const seconds = (from: number, to: number): string => `${((to - from) / 1000).toFixed(1)} s`;
      console.log(
        `measured: ServiceDown told ${seconds(stoppedMs, firing.atMs)} after the stop,`,
        `resolved ${seconds(startedMs, resolved.atMs)} after the start`,
      );
    });
  },
);
