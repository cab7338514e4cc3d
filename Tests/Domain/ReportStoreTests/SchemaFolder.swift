/// Where the project keeps its migrations.
enum SchemaFolder {
    static let path = #filePath.split(separator: "/").dropLast(4).reduce("") { $0 + "/" + $1 } + "/schemas/postgres"
}
