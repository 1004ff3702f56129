// What the schemas of Kubernetes do not say, and plait's manifests must hold to. A rule is a function
// that yields sentences, each about one thing that is wrong.

import {
    allowed,
    containers,
    environment,
    find,
    portOf,
    runSettings,
    selects,
    setting,
    title,
    workloads,
} from './objects.mjs';

const VOLUMES = ['configMap', 'secret', 'emptyDir', 'persistentVolumeClaim', 'projected'];
const LABELS = ['name', 'instance', 'component', 'part-of', 'managed-by'];
// What the programs take where a manifest says nothing (settings.mjs compares them with the programs).
export const DEFAULTS = {'link.lease_s': 60, 'workers.drain_s': 60, 'workers.learner_drain_s': 240};
const DRAINS = {actor: 'workers.drain_s', learner: 'workers.learner_drain_s'};
const LEASED = ['learner', 'actor', 'rewarder']; // what SIGTERM makes finish or hand back a lease

// ---- pods ----

export const rules = {
    // Pod Security Standards, "restricted", and a root that is read-only.
    *restricted(objects) {
        for (const workload of workloads(objects)) {
            const {spec, owner} = workload;
            const pod = spec.securityContext ?? {};
            for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) {
                if (spec[key]) yield `${title(owner)}: ${key} is set`;
            }
            if (pod.runAsNonRoot !== true) yield `${title(owner)}: runAsNonRoot is not true`;
            if (!(pod.runAsUser > 0)) yield `${title(owner)}: runAsUser is not given, or root`;
            if (pod.seccompProfile?.type !== 'RuntimeDefault') {
                yield `${title(owner)}: seccompProfile is not RuntimeDefault`;
            }
            for (const volume of spec.volumes ?? []) {
                const kind = Object.keys(volume).find((key) => key !== 'name');
                if (!VOLUMES.includes(kind)) {
                    yield `${title(owner)}: volume '${volume.name}' is of kind ${kind}`;
                }
            }
            for (const {container} of containers(workload)) {
                const own = container.securityContext ?? {};
                const where = `${title(owner)}, container '${container.name}'`;
                if (own.allowPrivilegeEscalation !== false) {
                    yield `${where}: allowPrivilegeEscalation is not false`;
                }
                if (own.readOnlyRootFilesystem !== true) {
                    yield `${where}: readOnlyRootFilesystem is not true`;
                }
                if (own.privileged) yield `${where}: privileged`;
                if (own.runAsNonRoot === false || own.runAsUser === 0) yield `${where}: runs as root`;
                if (own.seccompProfile && own.seccompProfile.type !== 'RuntimeDefault') {
                    yield `${where}: seccompProfile is not RuntimeDefault`;
                }
                if (!own.capabilities?.drop?.includes('ALL') || own.capabilities.add?.length > 0) {
                    yield `${where}: capabilities are not dropped, all of them`;
                }
                if ((container.ports ?? []).some((port) => port.hostPort)) yield `${where}: a hostPort`;
            }
        }
    },

    // A pod needs no key to the cluster; and variables that Kubernetes makes up (PLAIT_REDIS_PORT) are
    // like those of settings.
    *quiet(objects) {
        for (const {owner, spec} of workloads(objects)) {
            if (spec.automountServiceAccountToken !== false) {
                yield `${title(owner)}: automountServiceAccountToken is not false`;
            }
            if (spec.enableServiceLinks !== false) {
                yield `${title(owner)}: enableServiceLinks is not false`;
            }
        }
    },

    // SIGKILL must not come before what is leased was finished or handed back, nor before a drain is over.
    *grace(objects) {
        const settings = runSettings(objects);
        const value = (name) => setting(settings, name) ?? DEFAULTS[name];
        const lease = value('link.lease_s');
        for (const {owner, spec, labels} of workloads(objects)) {
            const grace = spec.terminationGracePeriodSeconds ?? 30;
            const role = labels['app.kubernetes.io/component'];
            const drain = DRAINS[role];
            if (LEASED.includes(role) && grace < lease) {
                yield `${title(owner)}: terminationGracePeriodSeconds is ${grace}, link.lease_s ${lease}`;
            }
            if (drain && grace <= value(drain)) {
                yield `${title(owner)}: terminationGracePeriodSeconds is ${grace}, ${drain} ${value(drain)}`;
            }
        }
    },

    *probes(objects) {
        for (const workload of workloads(objects)) {
            for (const {container, init} of containers(workload)) {
                for (const kind of init ? [] : ['startupProbe', 'readinessProbe', 'livenessProbe']) {
                    const probe = container[kind];
                    const where = `${title(workload.owner)}, container '${container.name}': ${kind}`;
                    const port = probe?.httpGet?.port ?? probe?.tcpSocket?.port;
                    const own = container.ports?.find(({name}) => name === port);
                    if (!probe) yield `${where} is missing`;
                    else if (!own) yield `${where} asks port '${port}', which no port is named`;
                    else if (container.image.includes('plait')) {
                        const path = {startup: '/startupz', readiness: '/readyz', liveness: '/livez'};
                        if (probe.httpGet?.path !== path[kind.replace('Probe', '')]) {
                            yield `${where} asks for '${probe.httpGet?.path}'`;
                        }
                    }
                }
            }
        }
    },

    // Memory that is asked for is what it gets: a node never runs out of what it promised.
    *resources(objects) {
        for (const workload of workloads(objects)) {
            for (const {container, init} of containers(workload)) {
                const {requests = {}, limits = {}} = container.resources ?? {};
                const where = `${title(workload.owner)}, container '${container.name}'`;
                if (!requests.cpu) yield `${where}: no request of processors`;
                if (!requests.memory || requests.memory !== limits.memory) {
                    yield `${where}: memory: request ${requests.memory}, limit ${limits.memory}`;
                }
                const threads = container.env?.find(({name}) => name === 'OMP_NUM_THREADS');
                const role = workload.labels['app.kubernetes.io/component'];
                if (!init && ['learner', 'actor', 'rewarder'].includes(role)) {
                    if (threads?.valueFrom?.resourceFieldRef?.resource !== 'limits.cpu') {
                        yield `${where}: OMP_NUM_THREADS is not the limit of processors`;
                    }
                    if (!limits.cpu) yield `${where}: no limit of processors to take threads from`;
                }
            }
        }
    },

    *image(objects) {
        for (const workload of workloads(objects)) {
            for (const {container} of containers(workload)) {
                const last = container.image.split('/').pop();
                if (!/(:[^:]+|@sha256:[0-9a-f]{64})$/.test(last) || last.endsWith(':latest')) {
                    yield `${title(workload.owner)}, container '${container.name}': image ` +
                        `'${container.image}' has no tag, or one that moves`;
                }
            }
        }
    },

    // A pod's name is its worker's, so that no two are alike and a log line leads to its pod.
    *worker(objects) {
        for (const workload of workloads(objects)) {
            for (const {container, init} of containers(workload)) {
                const role = container.args?.[0];
                const where = `${title(workload.owner)}, container '${container.name}'`;
                if (init || !['learner', 'actor', 'rewarder', 'relay'].includes(role)) continue;
                const name = container.args[container.args.indexOf('--name') + 1];
                const variable = container.env?.find((at) => at.name === 'POD_NAME');
                if (role === 'learner' && name !== 'learner') {
                    yield `${where}: the learner's --name is '${name}'`;
                } else if (
                    role !== 'learner' &&
                    (name !== '$(POD_NAME)' ||
                        variable?.valueFrom?.fieldRef?.fieldPath !== 'metadata.name')
                ) {
                    yield `${where}: --name is not the pod's`;
                }
            }
        }
    },

    // ---- labels and selectors ----

    *labels(objects, {version}) {
        for (const object of objects) {
            const of = object.metadata.labels ?? {};
            if (['Namespace', 'ConfigMap', 'Secret', 'NetworkPolicy'].includes(object.kind)) continue;
            for (const label of LABELS) {
                if (!of[`app.kubernetes.io/${label}`]) {
                    yield `${title(object)}: no label app.kubernetes.io/${label}`;
                }
            }
        }
        for (const {owner, labels} of workloads(objects)) {
            if (labels['app.kubernetes.io/version'] !== version) {
                yield `${title(owner)}: label app.kubernetes.io/version is not ${version}`;
            }
        }
    },

    *selectors(objects) {
        const pods = workloads(objects);
        for (const {owner, labels, spec} of pods) {
            if (!selects(owner.spec.selector, labels)) {
                yield `${title(owner)}: its selector does not select its own pods`;
            }
            const others = pods.filter((at) => at.owner !== owner);
            for (const other of others) {
                if (selects(owner.spec.selector, other.labels)) {
                    yield `${title(owner)}: its selector selects pods of ${title(other.owner)}`;
                }
            }
            for (const at of spec.topologySpreadConstraints ?? []) {
                if (!selects(at.labelSelector, labels)) {
                    yield `${title(owner)}: topologySpreadConstraints select other pods`;
                }
            }
        }
        for (const object of objects) {
            let selector;
            if (object.kind === 'Service') selector = {matchLabels: object.spec.selector};
            if (object.kind === 'PodDisruptionBudget') selector = object.spec.selector;
            if (selector && !pods.some(({labels}) => selects(selector, labels))) {
                yield `${title(object)}: its selector selects nothing`;
            }
        }
    },

    // ---- the network ----

    *ports(objects) {
        const pods = workloads(objects);
        for (const service of objects.filter(({kind}) => kind === 'Service')) {
            const behind = pods.filter(({labels}) =>
                selects({matchLabels: service.spec.selector}, labels),
            );
            for (const {name, port, targetPort} of service.spec.ports) {
                for (const workload of behind) {
                    const found = portOf(workload, targetPort);
                    if (found === undefined) {
                        yield `${title(service)}: port '${name}' goes to '${targetPort}', which ` +
                            `${title(workload.owner)} has not`;
                    } else if (service.spec.clusterIP === 'None' && found !== port) {
                        yield `${title(service)}: without a cluster's address port ${port} is ${found}`;
                    }
                }
            }
        }
        for (const {owner, spec} of pods.filter(({owner}) => owner.kind === 'StatefulSet')) {
            const service = find(objects, 'Service', owner.spec.serviceName);
            if (service?.spec.clusterIP !== 'None') {
                yield `${title(owner)}: serviceName is no headless Service`;
            }
            void spec;
        }
    },

    *policies(objects) {
        const pods = workloads(objects);
        const policies = objects.filter(({kind}) => kind === 'NetworkPolicy');
        const denies = policies.some(
            ({spec}) =>
                Object.keys(spec.podSelector).length === 0 &&
                ['Ingress', 'Egress'].every((type) => spec.policyTypes.includes(type)) &&
                !spec.ingress &&
                !spec.egress,
        );
        if (!denies) yield 'no NetworkPolicy denies what is not allowed';
        for (const policy of policies) {
            const {spec} = policy;
            const own = pods.filter(({labels}) => selects(spec.podSelector, labels));
            if (own.length === 0) yield `${title(policy)}: selects no pods`;
            for (const [key, peers] of [['ingress', 'from'], ['egress', 'to']]) {
                for (const rule of spec[key] ?? []) {
                    if (!rule[peers]?.length || !rule.ports?.length) {
                        yield `${title(policy)}: a rule of ${key} that names no peer, or no port`;
                    }
                    let others = [];
                    for (const peer of rule[peers] ?? []) {
                        if (peer.namespaceSelector) continue; // outside: not ours to know
                        const met = pods.filter(({labels}) => selects(peer.podSelector ?? {}, labels));
                        if (met.length === 0) yield `${title(policy)}: ${key} with pods that are not there`;
                        others = others.concat(met);
                    }
                    for (const {port} of rule.ports ?? []) {
                        for (const to of key === 'ingress' ? own : others) {
                            if (portOf(to, port) === undefined) {
                                yield `${title(policy)}: port '${port}', which ${title(to.owner)} has not`;
                            }
                        }
                    }
                }
            }
        }
    },

    // Where a setting sends a program, there is a Service with that port, and the policies allow it.
    *edges(objects) {
        const pods = workloads(objects);
        for (const from of pods) {
            for (const {container} of containers(from)) {
                for (const [name, value] of Object.entries(environment(container, objects))) {
                    const match = /^(tcp|redis|rediss):\/\/([a-z0-9-]+):([0-9]+)$/.exec(value ?? '');
                    if (!match) continue;
                    const service = find(objects, 'Service', match[2]);
                    const port = service?.spec.ports.find((at) => at.port === Number(match[3]));
                    const where = `${title(from.owner)}: ${name}=${value}`;
                    if (!port) {
                        yield `${where}: no Service has that port`;
                        continue;
                    }
                    for (const to of pods.filter(({labels}) =>
                        selects({matchLabels: service.spec.selector}, labels),
                    )) {
                        const number = portOf(to, port.targetPort);
                        if (to.owner === from.owner || number === undefined) continue;
                        if (!needs(from, name)) continue;
                        if (!allowed(objects, from, to, number)) {
                            yield `${where}: no NetworkPolicy allows it`;
                        }
                    }
                }
            }
        }
    },

    // ---- what is referred to is there ----

    *references(objects) {
        for (const workload of workloads(objects)) {
            const {owner, spec} = workload;
            const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]));
            for (const {metadata} of owner.spec.volumeClaimTemplates ?? []) {
                volumes.set(metadata.name, {});
            }
            const has = function* (kind, name, keys, where) {
                const object = find(objects, kind, name);
                if (!object) yield `${where}: there is no ${kind} '${name}'`;
                const held = {...object?.data, ...object?.stringData, ...object?.binaryData};
                for (const key of object ? keys : []) {
                    if (!(key in held)) yield `${where}: ${kind} '${name}' has no key '${key}'`;
                }
            };
            for (const volume of volumes.values()) {
                const where = `${title(owner)}, volume '${volume.name}'`;
                const keys = (source) => (source.items ?? []).map(({key}) => key);
                const sources = [volume, ...(volume.projected?.sources ?? [])];
                for (const {configMap, secret} of sources) {
                    if (configMap) yield* has('ConfigMap', configMap.name, keys(configMap), where);
                    if (secret) yield* has('Secret', secret.secretName ?? secret.name, keys(secret), where);
                }
                const claim = volume.persistentVolumeClaim?.claimName;
                if (claim && !find(objects, 'PersistentVolumeClaim', claim)) {
                    yield `${where}: there is no PersistentVolumeClaim '${claim}'`;
                }
            }
            const mounted = new Set();
            for (const {container} of containers(workload)) {
                const where = `${title(owner)}, container '${container.name}'`;
                const paths = new Set();
                for (const {name, mountPath} of container.volumeMounts ?? []) {
                    if (!volumes.has(name)) yield `${where}: mounts '${name}', which is no volume`;
                    for (const other of paths) {
                        if (`${mountPath}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${mountPath}/`)) {
                            yield `${where}: '${mountPath}' and '${other}' are mounted into each other`;
                        }
                    }
                    paths.add(mountPath);
                    mounted.add(name);
                }
                for (const {configMapRef, secretRef} of container.envFrom ?? []) {
                    if (configMapRef) yield* has('ConfigMap', configMapRef.name, [], where);
                    if (secretRef) yield* has('Secret', secretRef.name, [], where);
                }
                for (const {valueFrom} of container.env ?? []) {
                    const map = valueFrom?.configMapKeyRef;
                    const secret = valueFrom?.secretKeyRef;
                    if (map) yield* has('ConfigMap', map.name, [map.key], where);
                    if (secret) yield* has('Secret', secret.name, [secret.key], where);
                }
            }
            for (const name of volumes.keys()) {
                if (!mounted.has(name)) yield `${title(owner)}: no container mounts volume '${name}'`;
            }
        }
    },

    // Secrets are files that a group of the pod may read, never variables.
    *secrets(objects) {
        for (const workload of workloads(objects)) {
            const where = title(workload.owner);
            for (const volume of workload.spec.volumes ?? []) {
                const own = volume.secret ?? volume.projected;
                if (own && JSON.stringify(volume).includes('ecret') && own.defaultMode !== 0o440) {
                    yield `${where}, volume '${volume.name}': defaultMode is not 0440`;
                }
            }
            if (workload.spec.securityContext?.fsGroup === undefined) yield `${where}: no fsGroup`;
            for (const {container} of containers(workload)) {
                const all = [...(container.env ?? []), ...(container.envFrom ?? [])];
                if (all.some((at) => at.valueFrom?.secretKeyRef || at.secretRef)) {
                    yield `${where}, container '${container.name}': a secret in a variable`;
                }
            }
        }
    },

    *namespace(objects) {
        const spaces = objects.filter(({kind}) => kind === 'Namespace');
        const labels = spaces[0]?.metadata.labels ?? {};
        if (spaces.length !== 1) yield `${spaces.length} Namespaces`;
        if (labels['pod-security.kubernetes.io/enforce'] !== 'restricted') {
            yield 'the Namespace does not enforce the pod security standard restricted';
        }
        for (const object of objects.filter(({kind}) => kind !== 'Namespace')) {
            if (object.metadata.namespace !== spaces[0]?.metadata.name) {
                yield `${title(object)}: in namespace '${object.metadata.namespace}'`;
            }
        }
    },

    // ---- scaling ----

    *scaling(objects) {
        const scaled = new Map();
        for (const object of objects) {
            const target = object.spec?.scaleTargetRef;
            if (!target) continue;
            const owner = find(objects, target.kind ?? 'Deployment', target.name);
            const least = object.spec.minReplicas ?? object.spec.minReplicaCount ?? 0;
            const most = object.spec.maxReplicas ?? object.spec.maxReplicaCount ?? 0;
            if (!owner) yield `${title(object)}: scales ${target.name}, which is not there`;
            if (owner?.kind === 'StatefulSet') yield `${title(object)}: scales a StatefulSet`;
            if (least < 1) yield `${title(object)}: fewer than one`;
            if (most <= least) yield `${title(object)}: from ${least} to ${most} is no scale`;
            if (scaled.has(target.name)) yield `${title(object)}: ${target.name} is scaled twice`;
            scaled.set(target.name, object);
        }
        for (const object of objects.filter(({kind}) => kind === 'ScaledObject')) {
            const name = setting(runSettings(objects), 'run.name');
            for (const {type, metadata, authenticationRef} of object.spec.triggers) {
                const where = `${title(object)}, trigger ${type}`;
                const [host, port] = (metadata.address ?? '').split(':');
                const service = find(objects, 'Service', host.split('.')[0]);
                if (type !== 'redis-streams') yield `${where}: is no redis-streams`;
                if (metadata.lagCount || !metadata.streamLength) {
                    yield `${where}: goes by something else than streamLength`;
                }
                if (![`plait:{${name}}:prompts`, `plait:{${name}}:rollouts`].includes(metadata.stream)) {
                    yield `${where}: '${metadata.stream}' is no stream of run '${name}'`;
                }
                if (!service?.spec.ports.some((at) => at.port === Number(port))) {
                    yield `${where}: '${metadata.address}' is no Service's`;
                }
                if (host.split('.')[1] !== object.metadata.namespace) {
                    yield `${where}: '${host}' is not known in the namespace of KEDA`;
                }
                if (authenticationRef && !find(objects, 'TriggerAuthentication', authenticationRef.name)) {
                    yield `${where}: there is no TriggerAuthentication '${authenticationRef.name}'`;
                }
            }
        }
        for (const object of objects.filter(({kind}) => kind === 'TriggerAuthentication')) {
            for (const {name, key} of object.spec.secretTargetRef ?? []) {
                const secret = find(objects, 'Secret', name);
                if (!(key in {...secret?.data, ...secret?.stringData})) {
                    yield `${title(object)}: Secret '${name}' has no key '${key}'`;
                }
            }
        }
    },
};

// Which programs use which address: all of them read the same environment.
function needs(workload, name) {
    const role = workload.labels['app.kubernetes.io/component'];
    if (name === 'PLAIT_LINK_ANNOUNCE' || name === 'PLAIT_LINK_SERVE') {
        return role === 'actor' || role === 'relay';
    }
    return true;
}

// All that is wrong, as {rule, text}.
export function lint(objects, about) {
    return Object.entries(rules).flatMap(([rule, run]) =>
        [...run(objects, about)].map((text) => ({rule, text})),
    );
}
