// As much of a cluster as a contract needs: pods as processes, each with a network namespace of its
// own on one bridge, its volumes, its environment, its probes, and the NetworkPolicies as packet
// filters. Runs as root in namespaces that the caller made (network, mounts, process ids), which end
// with it. Containers are started by bubblewrap as the security context says: user, group, no
// capabilities, root read-only, process 1.

import {execFileSync, spawn} from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import {containers, find, portOf, selects, workloads} from './objects.mjs';

const NODE = '10.88.0.1';

export function sleep(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
}

function run(program, ...args) {
    return execFileSync(program, args, {stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8'});
}

export class Cluster {
    // images: of each image's last name its root folder; '' is this machine's own
    constructor(objects, folder, images) {
        Object.assign(this, {objects, folder, images});
        this.pods = [];
        this.addresses = new Map(); // of a pod's name: it keeps it
        run('ip', 'link', 'set', 'lo', 'up');
        run('ip', 'link', 'add', 'pods', 'type', 'bridge');
        run('ip', 'addr', 'add', `${NODE}/24`, 'dev', 'pods');
        run('ip', 'link', 'set', 'pods', 'up');
        fs.mkdirSync('/run/netns', {recursive: true});
        for (const {owner} of workloads(objects)) {
            const count = owner.spec.replicas ?? 1;
            for (let i = 0; i < count; i++) this.address(podName(owner, i));
        }
    }

    address(name) {
        if (!this.addresses.has(name)) this.addresses.set(name, `10.88.0.${10 + this.addresses.size}`);
        return this.addresses.get(name);
    }

    workload(name) {
        return workloads(this.objects).find(({owner}) => owner.metadata.name === name);
    }

    // A network namespace with an address; without labels no policy is made for it.
    wire(name, address) {
        const link = linkOf(address);
        run('ip', 'netns', 'add', name);
        run('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
        run('ip', 'link', 'set', link, 'master', 'pods', 'up');
        run('ip', '-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
        run('ip', '-n', name, 'link', 'set', 'eth0', 'up');
        run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    }

    // A namespace is taken apart some time after it was deleted, and until then this end of its link is
    // there: under the name that the next one needs.
    unwire(name, address) {
        run('ip', 'link', 'delete', linkOf(address));
        run('ip', 'netns', 'delete', name);
    }

    // What services are called, for /etc/hosts: addresses of the pods behind them, there or to come.
    hosts() {
        const lines = ['127.0.0.1 localhost'];
        for (const service of this.objects.filter(({kind}) => kind === 'Service')) {
            for (const {owner, labels} of workloads(this.objects)) {
                if (!selects({matchLabels: service.spec.selector}, labels)) continue;
                lines.push(`${this.address(podName(owner, 0))} ${service.metadata.name}`);
            }
        }
        return `${lines.join('\n')}\n`;
    }

    // The policies, for every pod that runs: which new connections may begin.
    police() {
        const live = this.pods.filter((pod) => !pod.gone);
        const policies = this.objects.filter(({kind}) => kind === 'NetworkPolicy');
        for (const pod of live) {
            const chain = (type, key, peers, side) => {
                const mine = policies.filter(
                    ({spec}) =>
                        spec.policyTypes.includes(type) && selects(spec.podSelector, pod.workload.labels),
                );
                if (mine.length === 0) return '';
                const rules = [];
                for (const rule of mine.flatMap(({spec}) => spec[key] ?? [])) {
                    for (const peer of rule[peers].filter((at) => !at.namespaceSelector)) {
                        for (const other of live) {
                            if (!selects(peer.podSelector, other.workload.labels)) continue;
                            const to = side === 'saddr' ? pod : other;
                            for (const {port} of rule.ports) {
                                rules.push(
                                    `ip ${side} ${other.address} tcp dport ${portOf(to.workload, port)} accept`,
                                );
                            }
                        }
                    }
                }
                const hook = side === 'saddr' ? 'input' : 'output';
                const node = side === 'saddr' ? `ip saddr ${NODE} accept\n` : '';
                return `chain on_${hook} { type filter hook ${hook} priority 0; policy accept;
                    ${node}meta l4proto tcp tcp flags & (syn | ack) != syn accept
                    ip daddr 127.0.0.0/8 accept
                    ${rules.join('\n')}
                    meta l4proto { tcp, udp } drop
                    }`;
            };
            const text = `table inet fence {}\ndelete table inet fence\ntable inet fence {
                ${chain('Ingress', 'ingress', 'from', 'saddr')}
                ${chain('Egress', 'egress', 'to', 'daddr')}
                }\n`;
            const file = path.join(this.folder, `${pod.name}.nft`);
            fs.writeFileSync(file, text);
            run('ip', 'netns', 'exec', pod.name, 'nft', '-f', file);
        }
    }

    // Begin the pods of a workload up to a number; those over it are told to leave, the newest first.
    async scale(name, count) {
        const workload = this.workload(name);
        const mine = this.pods.filter((pod) => pod.workload.owner === workload.owner && !pod.gone);
        const begun = [];
        for (let i = mine.length; i < count; i++) begun.push(this.begin(workload, i));
        const left = mine.slice(count).map((pod) => pod.end());
        await Promise.all(left);
        await Promise.all(begun.map((pod) => pod.started));
        return begun;
    }

    // A StatefulSet's pod comes back under its name, a Deployment's is a new one.
    begin(workload, number) {
        const all = this.pods.filter((pod) => pod.workload.owner === workload.owner).length;
        const kept = workload.owner.kind === 'StatefulSet';
        const pod = new Pod(this, workload, podName(workload.owner, kept ? number : all));
        this.pods.push(pod);
        this.police();
        pod.started = pod.start();
        return pod;
    }

    say(text) {
        console.log(`[${(process.uptime()).toFixed(1)} s] ${text}`);
    }
}

function linkOf(address) {
    return `v${address.split('.')[3]}`;
}

function podName(owner, number) {
    return owner.kind === 'StatefulSet'
        ? `${owner.metadata.name}-${number}`
        : `${owner.metadata.name}-7d9c5b6f4-${'bcdfghjkmn'[number % 10]}${number}x2z`;
}

class Pod {
    constructor(cluster, workload, name) {
        Object.assign(this, {cluster, workload, name, gone: false, ready: false, probes: {}});
        this.address = cluster.address(name);
        this.folder = path.join(cluster.folder, name);
        fs.mkdirSync(this.folder, {recursive: true});
        if (fs.existsSync(`/run/netns/${name}`)) cluster.unwire(name, this.address); // of one before
        cluster.wire(name, this.address);
        this.log = path.join(cluster.folder, `${name}.log`);
    }

    // ---- volumes ----

    source(name) {
        const {spec, owner} = this.workload;
        const volume = (spec.volumes ?? []).find((at) => at.name === name);
        const claims = (owner.spec.volumeClaimTemplates ?? []).map(({metadata}) => metadata.name);
        const group = spec.securityContext.fsGroup;
        const own = path.join(this.folder, name);
        const write = (folder, data, mode, decode, gid) => {
            fs.mkdirSync(folder, {recursive: true});
            for (const [key, value] of Object.entries(data)) {
                const file = path.join(folder, key);
                fs.rmSync(file, {force: true});
                fs.writeFileSync(file, decode(value));
                fs.chmodSync(file, mode);
                fs.chownSync(file, 0, gid);
            }
        };
        const kept = (folder) => {
            if (fs.existsSync(folder)) return folder;
            fs.mkdirSync(folder, {recursive: true});
            fs.chownSync(folder, 0, group);
            fs.chmodSync(folder, 0o2775);
            return folder;
        };
        if (claims.includes(name)) return kept(path.join(this.cluster.folder, 'claims', `${name}-${this.name}`));
        if (volume.persistentVolumeClaim) {
            return kept(path.join(this.cluster.folder, 'claims', volume.persistentVolumeClaim.claimName));
        }
        if (volume.emptyDir) return kept(own);
        if (volume.configMap) {
            const {data} = find(this.cluster.objects, 'ConfigMap', volume.configMap.name);
            write(own, data, 0o444, (text) => text, 0);
            return own;
        }
        const {secretName, defaultMode} = volume.secret;
        const {data} = find(this.cluster.objects, 'Secret', secretName);
        write(own, data, defaultMode, (text) => Buffer.from(text, 'base64'), group);
        return own;
    }

    // ---- containers ----

    environment(container) {
        const {objects} = this.cluster;
        const all = {};
        for (const {configMapRef} of container.envFrom ?? []) {
            Object.assign(all, find(objects, 'ConfigMap', configMapRef.name).data);
        }
        for (const {name, value, valueFrom} of container.env ?? []) {
            if (valueFrom?.fieldRef?.fieldPath === 'metadata.name') all[name] = this.name;
            else if (valueFrom?.resourceFieldRef) {
                const limit = container.resources.limits.cpu;
                all[name] = String(Math.ceil(limit.endsWith('m') ? parseInt(limit, 10) / 1000 : Number(limit)));
            } else if (valueFrom) throw new Error(`${this.name}: ${name} is from elsewhere`);
            else all[name] = value;
        }
        return all;
    }

    words(container) {
        const {spec} = this.workload;
        const security = {...spec.securityContext, ...container.securityContext};
        const image = container.image.split('/').pop().split(/[:@]/)[0];
        const root = this.cluster.images[image];
        const variables = this.environment(container);
        const expand = (text) => text.replace(/\$\(([A-Za-z_]+)\)/g, (all, name) => variables[name] ?? all);
        const config = root === '' ? {entry: [], env: {PATH: '/usr/bin'}} : root.config;
        const words = [
            'ip', 'netns', 'exec', this.name, 'bwrap', '--unshare-pid', '--unshare-ipc', '--unshare-uts',
            '--as-pid-1', '--die-with-parent', '--cap-add', 'ALL', '--clearenv', '--json-status-fd', '3',
            '--hostname', this.name,
        ];
        if (root === '') {
            for (const at of ['/usr', '/lib', '/lib64', '/bin']) words.push('--ro-bind', at, at);
            words.push('--dir', '/etc');
        } else {
            words.push('--ro-bind', root.folder, '/');
        }
        const hosts = path.join(this.folder, 'hosts');
        fs.writeFileSync(hosts, this.cluster.hosts());
        words.push('--proc', '/proc', '--dev', '/dev', '--ro-bind', hosts, '/etc/hosts');
        for (const {name, mountPath, readOnly} of container.volumeMounts ?? []) {
            words.push(readOnly ? '--ro-bind' : '--bind', this.source(name), mountPath);
        }
        if (root === '') words.push('--remount-ro', '/');
        if (security.readOnlyRootFilesystem !== true) throw new Error(`${this.name}: a writable root`);
        for (const [name, value] of Object.entries({...config.env, ...variables})) {
            words.push('--setenv', name, value);
        }
        // No user namespace: what is root's must be seen to be root's, as in a cluster. So the last
        // program before the pod's own gives the rights away, and is brought along.
        words.push('--chdir', config.cwd ?? '/', '--', ...(root === '' ? ['setpriv'] : root.setpriv));
        words.push(
            `--reuid=${security.runAsUser}`, `--regid=${security.runAsGroup}`,
            ...(security.fsGroup ? [`--groups=${security.fsGroup}`] : ['--clear-groups']),
            '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs',
            ...(container.command ?? config.entry),
        );
        words.push(...(container.args ?? []).map(expand));
        return words;
    }

    // Until it has ended: its exit status. `this.pid` is its process 1.
    exec(container) {
        const out = fs.openSync(this.log, 'a');
        const [program, ...args] = this.words(container);
        const child = spawn(program, args, {stdio: ['ignore', out, out, 'pipe'], env: {PATH: process.env.PATH}});
        child.stdio[3].on('data', (data) => {
            const match = /"child-pid": *(\d+)/.exec(data.toString());
            if (match) this.pid = Number(match[1]);
        });
        return new Promise((resolve) => child.on('exit', (code) => resolve(code)));
    }

    // As kubectl exec: the image's program with other arguments, in this pod's volumes and environment.
    async also(args) {
        const [program, ...words] = this.words({...this.container, args});
        const child = spawn(program, words, {stdio: ['ignore', 'pipe', 'inherit', 'pipe']});
        let text = '';
        child.stdio[3].resume();
        child.stdout.on('data', (data) => (text += data));
        return new Promise((resolve) => child.on('close', (code) => resolve({code, text})));
    }

    async start() {
        for (const {container, init} of containers(this.workload)) {
            if (!init) continue;
            let code;
            for (let tries = 0; tries < 20 && code !== 0; tries++) {
                code = await this.exec(container);
                if (code !== 0) await sleep(500);
            }
            if (code !== 0) throw new Error(`${this.name}: init container ${container.name}: status ${code}`);
        }
        const [container] = this.workload.spec.containers;
        this.container = container;
        this.ended = this.exec(container).then((code) => {
            this.code = code;
            this.gone = true;
            return code;
        });
        await this.become('startupProbe');
        this.cluster.say(`${this.name}: started`);
        await this.become('readinessProbe');
        this.ready = true;
        this.cluster.say(`${this.name}: ready`);
        this.watch();
    }

    // ---- probes ----

    async probe(kind) {
        const {httpGet, tcpSocket, timeoutSeconds = 1} = this.container[kind];
        const port = portOf(this.workload, (httpGet ?? tcpSocket).port);
        const count = (good) => {
            this.probes[kind] ??= {good: 0, bad: 0, last: ''};
            this.probes[kind][good ? 'good' : 'bad']++;
            return good;
        };
        return new Promise((resolve) => {
            const done = (good, said) => {
                resolve(count(good));
                this.probes[kind].last = said;
            };
            if (tcpSocket) {
                const socket = net.connect({host: this.address, port, timeout: timeoutSeconds * 1000});
                socket.on('connect', () => (done(true, ''), socket.destroy()));
                socket.on('timeout', () => (done(false, 'late'), socket.destroy()));
                socket.on('error', (error) => done(false, error.code));
                return;
            }
            const request = http.get(
                {host: this.address, port, path: httpGet.path, timeout: timeoutSeconds * 1000, agent: false},
                (response) => {
                    let body = '';
                    response.on('data', (data) => (body += data));
                    response.on('end', () =>
                        done(response.statusCode >= 200 && response.statusCode < 400, body.trim()),
                    );
                },
            );
            request.on('timeout', () => request.destroy(new Error('late')));
            request.on('error', (error) => done(false, error.message));
        });
    }

    // Waits until a probe is answered well; faster than a kubelet would ask, as long as it would wait.
    async become(kind) {
        const {periodSeconds = 10, failureThreshold = 3} = this.container[kind];
        const patience = kind === 'startupProbe' ? periodSeconds * failureThreshold : 120;
        for (const end = Date.now() + patience * 1000; Date.now() < end; await sleep(300)) {
            if (this.gone) throw new Error(`${this.name}: ended with ${this.code} before it was up`);
            if (await this.probe(kind)) return;
        }
        throw new Error(`${this.name}: ${kind}: ${this.probes[kind]?.last}`);
    }

    // As the kubelet: a pod that is not alive three times is restarted, which no pod here may be.
    async watch() {
        const {failureThreshold = 3} = this.container.livenessProbe;
        let bad = 0;
        while (!this.gone && !this.leaving) {
            bad = (await this.probe('livenessProbe')) || this.gone || this.leaving ? 0 : bad + 1;
            if (!this.gone && !this.leaving) this.ready = await this.probe('readinessProbe');
            if (bad >= failureThreshold) this.died = this.probes.livenessProbe.last || 'no answer';
            await sleep(1000);
        }
    }

    // SIGTERM, and what it leaves with within its grace period; after that it is killed.
    async end() {
        const grace = this.workload.spec.terminationGracePeriodSeconds;
        this.leaving = true;
        const begin = Date.now();
        process.kill(this.pid, 'SIGTERM');
        const late = sleep(grace * 1000).then(() => 'late');
        if ((await Promise.race([this.ended, late])) === 'late') {
            process.kill(this.pid, 'SIGKILL');
            await this.ended;
            this.code = 'late';
        }
        this.left_s = (Date.now() - begin) / 1000;
        this.cluster.say(`${this.name}: left with ${this.code} after ${this.left_s.toFixed(1)} s`);
        return this.code;
    }
}
