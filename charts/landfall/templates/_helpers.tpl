{{- define "landfall.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Every name of a release holds the release's own, so that two releases do not meet. */}}
{{- define "landfall.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "landfall.serviceAccountName" -}}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.name is empty and serviceAccount.create is false: name the account that the operator is to run as" -}}
{{- end -}}
{{ default (include "landfall.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "landfall.selectorLabels" -}}
app.kubernetes.io/name: {{ include "landfall.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "landfall.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "landfall.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "landfall.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{/* The commands, in the order of the operator's own list. */}}
{{- define "landfall.verbs" -}}
abort stop cancel pause resume promote skip rollback retry restart
{{- end }}

{{/* The API version of MutatingAdmissionPolicy that is to be used; empty: none. */}}
{{- define "landfall.mutatingVersion" -}}
{{- if and .Values.admission.enabled (ne .Values.admission.mutating "never") -}}
{{- $group := "admissionregistration.k8s.io" -}}
{{- if .Capabilities.APIVersions.Has (printf "%s/v1/MutatingAdmissionPolicy" $group) -}}
{{ $group }}/v1
{{- else if .Capabilities.APIVersions.Has (printf "%s/v1beta1/MutatingAdmissionPolicy" $group) -}}
{{ $group }}/v1beta1
{{- else if eq .Values.admission.mutating "always" -}}
{{ $group }}/v1
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether the operator may take the actor of a command for true. */}}
{{- define "landfall.actors" -}}
{{- if ne .Values.admission.actors "auto" -}}
{{ .Values.admission.actors }}
{{- else if and .Values.admission.enabled (empty .Values.admission.namespaceSelector) -}}
verified
{{- else -}}
unverified
{{- end -}}
{{- end }}

{{/* What the operator itself may do where it looks after custom resources. */}}
{{- define "landfall.operatorRules" -}}
- apiGroups: [landfall.dev]
  resources: [packages, profiles, deployments]
  verbs: [get, list, watch]
- apiGroups: [landfall.dev]
  resources: [packages/status, profiles/status, deployments/status]
  verbs: [get, update, patch]
- apiGroups: [landfall.dev]
  resources: [deployments/record]
  verbs: [create]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services, pods]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- with .Values.gitops.watch }}
# What repositories contain.
{{- range . }}
- apiGroups: [{{ .group | quote }}]
  resources: {{ toJson .resources }}
  verbs: [list, watch]
{{- end }}
{{- end }}
{{- end }}

{{/* What both policies look at. */}}
{{- define "landfall.commandVariables" -}}
- name: verbs
  expression: "['{{ include "landfall.verbs" . | splitList " " | join "', '" }}']"
- name: before
  expression: "oldObject != null && has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}"
- name: after
  expression: "has(object.metadata.annotations) ? object.metadata.annotations : {}"
- name: name
  expression: "has(object.metadata.name) ? object.metadata.name : ''"
- name: actor
  expression: "'command.landfall.dev/actor' in variables.after ? variables.after['command.landfall.dev/actor'] : ''"
# Whether a name is written, or another one than before.
- name: named
  expression: >-
    'command.landfall.dev/actor' in variables.after && (!('command.landfall.dev/actor' in variables.before)
    || variables.before['command.landfall.dev/actor'] != variables.actor)
# Commands that are new or say something else than before.
- name: given
  expression: >-
    variables.verbs.filter(v, ('command.landfall.dev/' + v) in variables.after && (!(('command.landfall.dev/' + v) in variables.before)
    || variables.before['command.landfall.dev/' + v] != variables.after['command.landfall.dev/' + v]))
{{- end }}
