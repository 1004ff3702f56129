// What the checks ask of a set of Kubernetes objects: which pods there are, what a selector selects.

import fs from 'node:fs';
import yaml from 'js-yaml';

// A Secret's base64 comes in lines, which the server of a cluster joins; a schema does not.
export function read(path) {
    const objects = yaml.loadAll(fs.readFileSync(path, 'utf8')).filter((object) => object !== null);
    for (const {kind, data} of objects) {
        for (const key of kind === 'Secret' ? Object.keys(data ?? {}) : []) {
            data[key] = data[key].replace(/\n/g, '');
        }
    }
    return objects;
}

export function title(object) {
    return `${object.kind}/${object.metadata?.name}`;
}

// {owner, spec, labels} of each workload's pods.
export function workloads(objects) {
    return objects
        .filter((object) => ['Deployment', 'StatefulSet', 'DaemonSet', 'Job'].includes(object.kind))
        .map((owner) => ({
            owner,
            spec: owner.spec.template.spec,
            labels: owner.spec.template.metadata?.labels ?? {},
        }));
}

export function containers(workload) {
    const {initContainers = [], containers: main = []} = workload.spec;
    return [
        ...initContainers.map((container) => ({container, init: true})),
        ...main.map((container) => ({container, init: false})),
    ];
}

export function find(objects, kind, name) {
    return objects.find((object) => object.kind === kind && object.metadata.name === name);
}

// Of a label selector, whole: an empty one selects everything.
export function selects(selector, labels) {
    const pairs = Object.entries(selector.matchLabels ?? {});
    return (
        pairs.every(([key, value]) => labels[key] === value) &&
        (selector.matchExpressions ?? []).every(({key, operator, values}) => {
            switch (operator) {
                case 'In':
                    return values.includes(labels[key]);
                case 'NotIn':
                    return !values.includes(labels[key]);
                case 'Exists':
                    return key in labels;
                case 'DoesNotExist':
                    return !(key in labels);
                default:
                    throw new Error(`operator '${operator}'`);
            }
        })
    );
}

// The number behind a container port's name; undefined: no container of these pods has it.
export function portOf(workload, nameOrNumber) {
    for (const {container, init} of containers(workload)) {
        for (const port of init ? [] : container.ports ?? []) {
            if (port.name === nameOrNumber || port.containerPort === nameOrNumber) {
                return port.containerPort;
            }
        }
    }
    return undefined;
}

// The variables of a container that are written out, or in a ConfigMap: what an environment has first
// is overridden by what comes later, as the kubelet does it.
export function environment(container, objects) {
    const all = {};
    for (const {configMapRef} of container.envFrom ?? []) {
        Object.assign(all, find(objects, 'ConfigMap', configMapRef?.name)?.data ?? {});
    }
    for (const {name, value, valueFrom} of container.env ?? []) {
        all[name] = valueFrom ? undefined : value ?? '';
    }
    return all;
}

// The settings of the run, from the ConfigMap that the learner's pods mount.
export function runSettings(objects) {
    const map = objects.find((object) => object.kind === 'ConfigMap' && object.data?.['run.yaml']);
    return map ? yaml.load(map.data['run.yaml']) : {};
}

// A dotted name of nested or dotted settings.
export function setting(settings, name) {
    if (settings === null || typeof settings !== 'object') {
        return undefined;
    }
    if (name in settings) {
        return settings[name];
    }
    for (const key of Object.keys(settings)) {
        if (name.startsWith(`${key}.`)) {
            const found = setting(settings[key], name.slice(key.length + 1));
            if (found !== undefined) {
                return found;
            }
        }
    }
    return undefined;
}

// Whether the policies let a connection from one workload's pods to a port of another's: from where
// egress is limited one rule must name it, to where ingress is limited another.
export function allowed(objects, from, to, port) {
    const policies = objects.filter((object) => object.kind === 'NetworkPolicy');
    const open = (workload, type, key, peers, peer) => {
        const mine = policies.filter(
            ({spec}) => spec.policyTypes.includes(type) && selects(spec.podSelector, workload.labels),
        );
        return (
            mine.length === 0 ||
            mine.some(({spec}) =>
                (spec[key] ?? []).some(
                    (rule) =>
                        (rule[peers] ?? []).some(
                            (at) =>
                                at.podSelector &&
                                !at.namespaceSelector &&
                                selects(at.podSelector, peer.labels),
                        ) &&
                        (rule.ports ?? []).some(
                            (at) => (at.protocol ?? 'TCP') === 'TCP' && portOf(to, at.port) === port,
                        ),
                ),
            )
        );
    };
    return open(from, 'Egress', 'egress', 'to', to) && open(to, 'Ingress', 'ingress', 'from', from);
}
