{{- define "rookery.name" -}}
{{- printf "%s" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "rookery.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rookery.labels" -}}
{{ include "rookery.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* A value of TOML. JSON's texts, numbers, booleans and lists of these are TOML's, too. */}}
{{- define "rookery.toml" -}}
{{- $shared := eq .Values.store.engine "foundationdb" -}}
{{- $linked := ne .Values.cluster.existingSecret "" -}}
{{- $own := dict
    "listen" (dict "api" "0.0.0.0:8000" "ws" "0.0.0.0:8001" "internal" "0.0.0.0:9000")
    "data" (dict "dir" "/var/lib/rookery")
    "store" (dict "engine" .Values.store.engine)
    "node" (dict "shards" (int .Values.shards))
    "limits" (dict "connections" (int .Values.sessionsMax))
    "cluster" dict "auth" (dict "mode" .Values.auth.mode) "notify" dict "log" (dict "format" "json") -}}
{{- if $shared -}}
{{- $_ := set $own.store "cluster_file" "/etc/rookery/store/fdb.cluster" -}}
{{- $_ := set $own.store "client_library" "/opt/foundationdb/libfdb_c.so" -}}
{{- end -}}
{{- if $linked -}}
{{- $_ := set $own.listen "links" "0.0.0.0:8004" -}}
{{- $_ := set $own.cluster "secret_file" "/run/rookery/cluster/cluster.secret" -}}
{{- end -}}
{{- if .Values.auth.existingSecret -}}
{{- $_ := set $own.auth "key_file" "/run/rookery/auth/token.key" -}}
{{- end -}}
{{- if .Values.auth.issuers.existingSecret -}}
{{- $_ := set $own.auth "issuers_file" (printf "/run/rookery/issuers/%s" .Values.auth.issuers.fileKey) -}}
{{- end -}}
{{- if .Values.notify.existingSecret -}}
{{- $_ := set $own.notify "providers_file" (printf "/run/rookery/notify/%s" .Values.notify.providersKey) -}}
{{- end -}}
{{- with .Values.publicUrls.ws -}}{{- $_ := set $own.node "ws_url" . -}}{{- end -}}
{{- with .Values.publicUrls.api -}}{{- $_ := set $own.node "api_url" . -}}{{- end -}}
{{- $all := mergeOverwrite (deepCopy .Values.config) $own -}}
{{- range $section, $keys := $all -}}
{{- if $keys }}
[{{ $section }}]
{{ range $key, $value := $keys -}}
{{ $key }} = {{ if kindIs "float64" $value }}{{ if eq (floor $value) $value }}{{ int64 $value }}{{ else }}{{ $value }}{{ end }}{{ else }}{{ toJson $value }}{{ end }}
{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
