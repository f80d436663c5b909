import { describe, expect, it } from 'vitest';
import { settings } from '../../src/config.js';
import { misspeltSettings } from '../../src/ops/misspelt-settings.js';
import { nearestName } from '../../src/runtime/nearest-name.js';

describe('the nearest name', () => {
  it.each([
    ['prot', 'port'],
    ['Port', 'port'],
    ['per-page', 'per_page'],
    ['perpgae', 'per_page'],
    ['usr_id', 'user_id'],
  ])('of %s is %s', (given, nearest) => {
    expect(nearestName(given, ['page', 'per_page', 'port', 'user_id'])).toEqual({
      name: nearest,
      isNear: true,
    });
  });

  it.each(['post_id', 'part', 'xy', 'pagination'])('is not near %s', (given) => {
    expect(nearestName(given, ['per_page', 'post', 'user_id'])?.isNear).toBe(false);
  });
});

describe('a misspelt setting', () => {
  const names = Object.keys(settings.shape);

  it.each([
    ['GATEWAY_THREDS', 'GATEWAY_THREADS'],
    ['PROT', 'PORT'],
    ['LOGLEVEL', 'LOG_LEVEL'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['TRUSTED_PROXYS', 'TRUSTED_PROXIES'],
  ])('%s is meant to be %s', (given, meant) => {
    expect(misspeltSettings([given, 'PORT', 'PATH'], names)).toEqual([{ given, meant }]);
  });

  it('is none of those that other programs have', () => {
    const others =
      'PATH HOME HOSTNAME USER LANG TERM SHELL PWD OLDPWD SHLVL LOGNAME MAIL TZ EDITOR PAGER DISPLAY NODE_ENV ' +
      'NODE_OPTIONS NODE_VERSION NODE_EXTRA_CA_CERTS YARN_VERSION PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE ' +
      'POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB NGINX_PORT NGINX_LOGS HTTP_PROXY HTTPS_PROXY NO_PROXY NO_COLOR ' +
      'FORCE_COLOR CI DEBUG XDG_DATA_DIRS XDG_DATA_HOME XDG_CONFIG_DIRS XDG_RUNTIME_DIR TMPDIR LC_ALL LS_COLORS ' +
      'SSH_AUTH_SOCK INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET LISTEN_FDS KUBERNETES_SERVICE_HOST ' +
      'KUBERNETES_SERVICE_PORT KUBERNETES_PORT HISTSIZE COLUMNS LINES npm_config_loglevel npm_package_name INIT_CWD';
    expect(misspeltSettings(others.split(' '), names)).toEqual([]);
  });
});
