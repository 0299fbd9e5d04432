//! The sample application as Packages, and what carries it.

/// A Profile `production` behind the public Gateway, with this strategy in YAML's flow style.
pub fn profile(strategy: &str) -> String {
    behind_gateway(strategy, "")
}

/// As [`profile`], where an acknowledged weight settles for this long.
pub fn profile_settling(strategy: &str, settle: &str) -> String {
    behind_gateway(strategy, &format!(", settle: {settle}"))
}

fn behind_gateway(strategy: &str, settle: &str) -> String {
    format!(
        "
apiVersion: landfall.dev/v1alpha1
kind: Profile
metadata: {{name: production}}
spec:
  environment: production
  traffic: {{gateway: {{parentRefs: [{{name: public, namespace: gateway}}], hostnames: [HOST]}}{settle}}}
  strategy: {strategy}
"
    )
}

/// A Profile `production` without any router.
pub fn profile_without_router(strategy: &str) -> String {
    format!(
        "
apiVersion: landfall.dev/v1alpha1
kind: Profile
metadata: {{name: production}}
spec:
  environment: production
  strategy: {strategy}
"
    )
}

/// The Deployment `web` of a version.
pub fn deployment(version: &str) -> String {
    format!(
        "
apiVersion: landfall.dev/v1alpha1
kind: Deployment
metadata: {{name: web}}
spec:
  package: {{name: web, version: {version}}}
  profile: production
"
    )
}

/// The Package `web`: the sample application that names its version, 3 instances and a Service. `arguments` are more
/// arguments of the application, each with a comma before it.
pub fn package(version: &str, arguments: &str) -> String {
    format!(
        "
apiVersion: landfall.dev/v1alpha1
kind: Package
metadata: {{name: web-{version}}}
spec:
  name: web
  version: {version}
  workload:
    manifests:
      - apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: web}}
        spec:
          replicas: 3
          selector: {{matchLabels: {{app: web}}}}
          template:
            metadata: {{labels: {{app: web}}}}
            spec:
              terminationGracePeriodSeconds: 10
              containers:
                - name: web
                  image: localhost/landfall:dev
                  imagePullPolicy: IfNotPresent
                  args: [sample, serve, --version={version}{arguments}]
                  ports: [{{name: http, containerPort: 8080}}]
                  readinessProbe: {{httpGet: {{path: /readyz, port: http}}, periodSeconds: 1}}
                  resources: {{requests: {{cpu: 5m, memory: 8Mi}}}}
      - apiVersion: v1
        kind: Service
        metadata: {{name: web}}
        spec:
          selector: {{app: web}}
          ports: [{{name: http, port: 80, targetPort: http}}]
"
    )
}
