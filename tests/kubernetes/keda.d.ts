// What is used of KEDA's kinds, by its documentation (keda.sh, 2.16: "ScaledObject specification",
// "Authentication", "Redis Streams").

import type {ObjectMeta} from 'kubernetes-types/meta/v1';
import type {HorizontalPodAutoscalerBehavior} from 'kubernetes-types/autoscaling/v2';

export interface ScaledObject {
    apiVersion: 'keda.sh/v1alpha1';
    kind: 'ScaledObject';
    metadata: ObjectMeta;
    spec: {
        scaleTargetRef: {
            apiVersion?: string;
            kind?: string;
            name: string;
            envSourceContainerName?: string;
        };
        pollingInterval?: number;
        cooldownPeriod?: number;
        minReplicaCount?: number;
        maxReplicaCount?: number;
        fallback?: {failureThreshold: number; replicas: number};
        advanced?: {
            restoreToOriginalReplicaCount?: boolean;
            horizontalPodAutoscalerConfig?: {
                name?: string;
                behavior?: HorizontalPodAutoscalerBehavior;
            };
        };
        triggers: {
            type: 'redis-streams';
            name?: string;
            metricType?: 'AverageValue' | 'Value';
            metadata: {
                address?: string;
                host?: string;
                port?: string;
                usernameFromEnv?: string;
                passwordFromEnv?: string;
                stream: string;
                consumerGroup?: string;
                pendingEntriesCount?: string;
                streamLength?: string;
                lagCount?: string;
                activationLagCount?: string;
                databaseIndex?: string;
                enableTLS?: 'true' | 'false';
                unsafeSsl?: 'true' | 'false';
            };
            authenticationRef?: {name: string; kind?: string};
        }[];
    };
}

export interface TriggerAuthentication {
    apiVersion: 'keda.sh/v1alpha1';
    kind: 'TriggerAuthentication';
    metadata: ObjectMeta;
    spec: {
        secretTargetRef?: {parameter: string; name: string; key: string}[];
    };
}
